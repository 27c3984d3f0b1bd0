"""Everything about MLflow: the store, runs, metrics, artifacts, models and the champion, under which names.

It reads the files that other packages write, and computes nothing itself.
"""
