"""What every stage may use: settings, schema, files, metrics, figures."""
