"""Explanations of a model's scores: what each word and field adds to the log-odds of a genre."""
