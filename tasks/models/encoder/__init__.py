"""Transformer encoders: loading, tokenising, fine-tuning, scoring.

Only here and in `tasks.models.explain.gradients` torch is imported.
"""
