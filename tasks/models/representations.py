"""How documents become vectors, as plain configuration. Owns the choices; `tasks.models.representation` does it.

To add one: a class here with a `kind` of its own, and a line in `tasks.models.representation.kinds`.
"""

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from tasks.models.choice import Choice

IS_A_TABLE: Final = True  # see tasks.source_code

# "own" are the further columns that a table of one's own names.
FieldName = Literal["decade", "year", "certificate", "runtime", "director", "star", "own"]


class BagOfWords(Choice):
    """Counts or tf-idf weights of word n-grams."""

    kind: Literal["bag-of-words"] = "bag-of-words"
    weighting: Literal["counts", "tfidf"] = Field("tfidf", description="Raw counts, or tf-idf with unit length.")
    max_n: PositiveInt = Field(1, description="Longest word n-gram; the shortest is one word.")
    min_movies: PositiveInt = Field(2, description="Train movies that an n-gram must occur in to be kept.")
    sublinear: bool = Field(False, description="Use 1 + log(count) instead of the count.")
    common_share: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="Drop n-grams that at least this share of the train movies of every genre has."
    )

    @property
    def label(self) -> str:
        """What it is, in the name of a folder."""
        weighting = self.weighting + ("-sublinear" if self.sublinear else "")
        return f"{weighting}_" + (f"1-{self.max_n}grams" if self.max_n > 1 else "words")


class CharacterNgrams(Choice):
    """tf-idf weights of the character n-grams of words, each word with the spaces around it."""

    kind: Literal["character-ngrams"] = "character-ngrams"
    min_n: PositiveInt = Field(3, description="Shortest n-gram.")
    max_n: PositiveInt = Field(5, description="Longest n-gram.")
    min_movies: PositiveInt = Field(5, description="Train movies that an n-gram must occur in to be kept.")
    sublinear: bool = Field(True, description="Use 1 + log(count) instead of the count.")
    weight: PositiveFloat = Field(1.0, description="Length of a movie's vector beside other representations.")

    @property
    def label(self) -> str:
        """What it is, in the name of a folder."""
        return f"characters_{self.min_n}-{self.max_n}grams"


class SideFields(Choice):
    """What is known beside the text: one column for each decade, year, certificate, range of runtime and person.

    Of a table of one's own, also for each value of its further fields and each range of their numbers.
    """

    kind: Literal["side-fields"] = "side-fields"
    fields: tuple[FieldName, ...] = Field(
        ("decade", "year", "certificate", "runtime", "director", "star", "own"),
        min_length=1,
        description="Which fields.",
    )
    min_movies: PositiveInt = Field(2, description="Train movies that a value must occur in to be kept.")
    weight: PositiveFloat = Field(0.5, description="Value of a column that applies; tf-idf vectors have length 1.")

    @property
    def label(self) -> str:
        """What it is, in the name of a folder."""
        return "fields"


class WordVectors(Choice):
    """Mean of word vectors that are trained on the train documents (gensim), weighted by idf, standardised."""

    kind: Literal["word-vectors"] = "word-vectors"
    algorithm: Literal["word2vec", "fasttext"] = Field("word2vec", description="fastText also reads parts of words.")
    objective: Literal["skip-gram", "cbow"] = Field(
        "skip-gram", description="Predict the words around from each word, or each word from those around."
    )
    dimensions: PositiveInt = Field(100, description="Length of the vectors.")
    window: PositiveInt = Field(20, description="Words to each side that count as around.")
    negatives: PositiveInt = Field(5, description="Random words that each true one is told from.")
    subsample: PositiveFloat = Field(1e-4, description="Share of all words above which a word is read less often.")
    epochs: PositiveInt = Field(10, description="Passes over the documents.")
    learning_rate: PositiveFloat = Field(0.05, description="Of the first word; it falls linearly to next to nothing.")
    min_movies: PositiveInt = Field(3, description="Train movies that a word must occur in to be kept.")
    buckets: PositiveInt = Field(20_000, description="Vectors that the parts of words share (fastText).")
    weight: PositiveFloat = Field(1.0, description="Average length of a movie's vector.")

    @property
    def label(self) -> str:
        """What it is, in the name of a folder."""
        return f"{self.algorithm}_{self.dimensions}d"


class PretrainedVectors(Choice):
    """Mean of word vectors from a file, weighted by idf, standardised."""

    kind: Literal["pretrained-vectors"] = "pretrained-vectors"
    file: Path = Field(description="word2vec in its text or binary form, or GloVe text; gzip too. Its content tells.")
    weight: PositiveFloat = Field(1.0, description="Average length of a movie's vector.")

    @property
    def label(self) -> str:
        """What it is, in the name of a folder."""
        return f"pretrained_{self.file.name.split('.')[0]}"


class FrozenEncoder(Choice):
    """Pooled output of a transformer encoder that stays as it is."""

    kind: Literal["frozen-encoder"] = "frozen-encoder"
    encoder: str = Field("minilm", description="minilm (embedded), a folder, or a name on the Hugging Face hub.")
    max_tokens: Annotated[int, Field(ge=8)] = Field(128, description="Tokens of a text beyond which it is cut.")
    weight: PositiveFloat = Field(1.0, description="Length of a movie's vector.")

    @property
    def label(self) -> str:
        """What it is, in the name of a folder."""
        return f"frozen_{Path(self.encoder).name}"


Representation = Annotated[
    BagOfWords | CharacterNgrams | SideFields | WordVectors | PretrainedVectors | FrozenEncoder,
    Field(discriminator="kind"),
]
