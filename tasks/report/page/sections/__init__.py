"""The sections of the page, in its order. Own their figures, sentences and pictures; know nothing of HTML."""
