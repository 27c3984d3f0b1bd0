"""MLflow: the store, runs, metrics, artifacts, models and the champion. Only files of other packages are logged."""
