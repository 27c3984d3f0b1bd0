"""Leaderboard, comparison, pictures and report of evaluated models, made only from the models' files."""
