"""Transformer encoders: loading, tokenising, fine-tuning, scoring.

Only here and in `tasks.models.explain.encoders` torch is imported.
"""
