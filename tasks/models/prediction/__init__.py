"""Predictions for files and folders of any size. Owns how they are read, shared out and written; fits no model."""
