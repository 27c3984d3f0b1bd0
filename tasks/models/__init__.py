"""The models: input, representation and classifier, fitted and scored, from a table of movies to scores in [0, 1].

Knows no threshold (decision rules are `tasks.decision`), no metric, and, except for `served` and `task`, neither MLflow
nor Prefect.
"""
