"""Owns which movie is used for what: the train, validation and test parts, the development subset and the folds.

Does not know texts, features or models: a movie is its id, its genres and its text group here.
"""
