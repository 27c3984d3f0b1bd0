"""Transformer encoders; only here and in `tasks.models.explain.encoders` is torch imported."""
