"""Evaluation of models from their saved scores: decision rules, metrics, tables and the label audit."""
