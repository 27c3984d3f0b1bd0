"""Owns how good a model is: every metric, the per-genre table, and the choice among decision rules on validation.

Does not know how a model works or was trained, only its saved scores; comparing models is the report's work.
"""
