"""Owns decision rules: how a row of genre scores becomes a set of genres, and how rules are fitted on scores.

Does not know movies, texts, models, metrics or files. Rests on numpy alone and travels inside every served model.
"""
