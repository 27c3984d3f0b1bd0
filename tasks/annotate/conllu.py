"""Our form of CoNLL-U, one document per movie.

Every document begins with `# newdoc id` and `# genre` (a JSON list), every sentence has `# sent_id` and `# text`; HEAD,
DEPREL and DEPS are `_`, MISC is `_` or `SpaceAfter=No`. Written here because the package `conllu` takes twice as long
for the same bytes.

Source: https://universaldependencies.org/format.html
"""

import json
from collections.abc import Sequence

from tasks.core.language import Token


def join_forms(tokens: Sequence[Token]) -> str:
    """Return the text of a sentence or document, without a space at its end."""
    return "".join([f"{token.form} " if token.space_after else token.form for token in tokens]).rstrip(" ")


def format_document(movie_id: str, genres: Sequence[str], sentences: Sequence[Sequence[Token]]) -> str:
    """Return a document as CoNLL-U, with a blank line after each sentence; "" without sentences.

    `movie_id` has letters, digits and `_.:-` only, since it becomes part of the sentences' ids. Sentences have at least
    one token each, of normalised text.
    """
    if not sentences:
        return ""
    lines = [f"# newdoc id = {movie_id}", f"# genre = {json.dumps(list(genres))}"]
    for number, tokens in enumerate(sentences, 1):
        lines += [f"# sent_id = {movie_id}-{number}", f"# text = {join_forms(tokens)}"]
        lines += [
            f"{position}\t{form}\t{lemma}\t{upos}\t{xpos}\t{feats}\t_\t_\t_\t{'_' if space_after else 'SpaceAfter=No'}"
            for position, (form, lemma, space_after, upos, xpos, feats) in enumerate(tokens, 1)
        ]
        lines.append("")
    return "\n".join(lines) + "\n"
