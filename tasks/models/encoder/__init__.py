"""Transformer encoders: loading, tokenising, fine-tuning, scoring. Only here torch is imported."""
