"""Owns which movie is used for what: the train, validation and test parts and the development subset.

Does not know texts, features or models: a movie is its id and its genres here.
"""
