"""Transformer encoders; torch is imported only here and in `tasks.models.explain.encoders`."""
