"""The annotated corpus: the cleaned movies as CoNLL-U and as a table of tokens and lemmas that says the same.

Owns the format of both, how they are made in parallel, and how they are read. What a token, a sentence or a lemma is
belongs to `tasks.core.language`. Knows no model, no split and no raw listing.
"""
