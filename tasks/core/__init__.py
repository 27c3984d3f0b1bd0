"""What every stage may use: settings, schema, files, metrics, figures. It knows no stage."""
