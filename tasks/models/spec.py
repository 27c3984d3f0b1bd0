"""What a named model is made of, as plain configuration. Owns the choices; imports nothing heavy."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt


class _Choice(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class InputSpec(_Choice):
    """Which text of a movie a model reads."""

    title: bool = Field(False, description="Put the title before the description.")
    text: Literal["surface", "lemmas"] = Field("surface", description="Words as written, or their lemmas.")
    pipeline: Literal["simplemma", "en_core_web_sm"] = Field(
        "simplemma", description="What makes the lemmas; the corpus must have been annotated with the same."
    )


class BagOfWords(_Choice):
    """Counts or tf-idf weights of word n-grams."""

    kind: Literal["bag-of-words"] = "bag-of-words"
    weighting: Literal["counts", "tfidf"] = Field("tfidf", description="Raw counts, or tf-idf with unit length.")
    max_n: PositiveInt = Field(1, description="Longest word n-gram; the shortest is one word.")
    min_movies: PositiveInt = Field(2, description="Train movies that an n-gram must occur in to be kept.")
    sublinear: bool = Field(False, description="Use 1 + log(count) instead of the count.")


class LogisticRegression(_Choice):
    """One logistic regression per genre (LIBLINEAR, L2)."""

    kind: Literal["logistic-regression"] = "logistic-regression"
    C: PositiveFloat = Field(1.0, description="Inverse strength of the L2 penalty.")


class LinearSVM(_Choice):
    """One linear SVM per genre (LIBLINEAR, squared hinge), its margins turned into probabilities by Platt scaling."""

    kind: Literal["linear-svm"] = "linear-svm"
    C: PositiveFloat = Field(0.3, description="Inverse strength of the L2 penalty.")
    calibration_folds: Annotated[int, Field(ge=2)] = Field(3, description="Folds whose held-out margins are scaled.")


class NaiveBayes(_Choice):
    """One multinomial naive Bayes per genre: movies with the genre against movies without."""

    kind: Literal["naive-bayes"] = "naive-bayes"
    alpha: PositiveFloat = Field(0.3, description="Additive smoothing of the word counts.")


class NearestNeighbours(_Choice):
    """Similarity-weighted vote of the most similar train movies (cosine), for all genres at once."""

    kind: Literal["nearest-neighbours"] = "nearest-neighbours"
    k: PositiveInt = Field(30, description="Number of neighbours that vote.")


Classifier = Annotated[LogisticRegression | LinearSVM | NaiveBayes | NearestNeighbours, Field(discriminator="kind")]


class ModelSpec(_Choice):
    """A line of the registry: a name and what it stands for."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", description="Name in leaderboards, folders and MLflow.")
    input: InputSpec = InputSpec()
    representation: BagOfWords = BagOfWords()
    classifier: Classifier


class FeaturesSpec(_Choice):
    """A fitted representation of one input, shared by all models that name the same one."""

    input: InputSpec
    representation: BagOfWords
    train_on: Literal["train", "development"] = "train"

    @property
    def name(self) -> str:
        """Readable name of the feature folder; the sidecar in it tells the full configuration apart."""
        what = self.representation
        parts = [
            "title+description" if self.input.title else "description",
            self.input.text,
            what.weighting + ("-sublinear" if what.sublinear else ""),
            f"1-{what.max_n}grams" if what.max_n > 1 else "words",
            f"min{what.min_movies}",
            *([] if self.train_on == "train" else [self.train_on]),
        ]
        return "_".join(parts)
