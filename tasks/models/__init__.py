"""The models: input, representation and classifier, fitted and scored.

Owns the registry of named models and everything between a table of movies and a matrix of scores in [0, 1], including
how a fitted model is stored without pickle. Knows no threshold (decision rules are `tasks.decision`), no metric, no
MLflow, no Prefect.
"""
