"""The annotated corpus: the cleaned movies as CoNLL-U, and as a companion table with the same tokens and lemmas."""
