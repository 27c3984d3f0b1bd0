"""The models: input, representation and classifier, from a table of movies to scores in [0, 1].

No thresholds (those are in `tasks.decision`), no metrics, and, except in `served` and `task`, no MLflow and no Prefect.
"""
