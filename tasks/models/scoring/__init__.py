"""Fitted classifiers as they score and are stored: arrays, no pickle, no scikit-learn. Travels with a served model."""
