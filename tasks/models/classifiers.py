"""The classifiers and the treatments of imbalance, as plain configuration. Owns the choices; fits nothing.

To add one: a class here with a `kind` of its own, how to fit it in `tasks.models.fitting.fit`, and how it scores in
`tasks.models.scoring.kinds`.
"""

from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from tasks.models.choice import Choice

IS_A_TABLE: Final = True  # see tasks.source_code


class Imbalance(Choice):
    """What a classifier does about genres that few movies have, in each genre's own two-class problem."""

    balanced: bool = Field(False, description="Weight both classes of a genre by the inverse of their frequency.")
    smote_ratio: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="Add synthetic movies to a genre until it has this share of the movies without it (SMOTE)."
    )
    genres: tuple[str, ...] = Field((), description="Genres to treat; empty: all.")

    @property
    def is_none(self) -> bool:
        """Whether nothing is done."""
        return not self.balanced and self.smote_ratio is None

    @property
    def suffix(self) -> str:
        """What it adds to a model's name: "-balanced", "-smote50"."""
        smote = f"-smote{self.smote_ratio * 100:g}".replace(".", "p") if self.smote_ratio is not None else ""
        return smote + ("-balanced" if self.balanced else "")


class LogisticRegression(Choice):
    """One logistic regression per genre (LIBLINEAR, L2)."""

    kind: Literal["logistic-regression"] = "logistic-regression"
    treats_imbalance: ClassVar[bool] = True
    C: PositiveFloat | Literal["per-genre"] = Field(
        1.0, description="Inverse strength of the L2 penalty; per-genre: each genre's own, chosen by cross-validation."
    )


class LinearSVM(Choice):
    """One linear SVM per genre (LIBLINEAR, squared hinge), its margins turned into probabilities by Platt scaling."""

    kind: Literal["linear-svm"] = "linear-svm"
    treats_imbalance: ClassVar[bool] = True
    C: PositiveFloat = Field(0.2, description="Inverse strength of the L2 penalty.")
    calibration_folds: Annotated[int, Field(ge=2)] = Field(3, description="Folds whose held-out margins are scaled.")


class NaiveBayes(Choice):
    """One multinomial naive Bayes per genre: movies with the genre against movies without."""

    kind: Literal["naive-bayes"] = "naive-bayes"
    treats_imbalance: ClassVar[bool] = False
    variant: Literal["multinomial", "complement"] = Field(
        "multinomial", description="complement (Rennie et al. 2003) normalises the weights of each class."
    )
    alpha: PositiveFloat = Field(0.3, description="Additive smoothing of the word counts.")


class NaiveBayesSVM(Choice):
    """One logistic regression per genre on words scaled by their naive Bayes log-count ratio (NB-SVM)."""

    kind: Literal["naive-bayes-svm"] = "naive-bayes-svm"
    treats_imbalance: ClassVar[bool] = True
    C: PositiveFloat = Field(1.0, description="Inverse strength of the L2 penalty.")
    alpha: PositiveFloat = Field(1.0, description="Additive smoothing of the word counts.")


class NearestNeighbours(Choice):
    """Similarity-weighted vote of the most similar train movies (cosine), for all genres at once."""

    kind: Literal["nearest-neighbours"] = "nearest-neighbours"
    treats_imbalance: ClassVar[bool] = False
    k: PositiveInt = Field(200, description="Number of neighbours that vote.")


class DecisionTree(Choice):
    """One decision tree for all genres at once, on the sparse vectors."""

    kind: Literal["decision-tree"] = "decision-tree"
    treats_imbalance: ClassVar[bool] = False
    max_depth: PositiveInt = Field(20, description="Longest path to a leaf.")
    min_leaf: PositiveInt = Field(30, description="Train movies that a leaf must have.")


class RandomForest(Choice):
    """A random forest for all genres at once, on the sparse vectors."""

    kind: Literal["random-forest"] = "random-forest"
    treats_imbalance: ClassVar[bool] = False
    n_trees: PositiveInt = Field(100, description="Number of trees.")
    max_depth: PositiveInt = Field(100, description="Longest path to a leaf.")
    min_leaf: PositiveInt = Field(2, description="Train movies that a leaf must have.")


class GradientBoosting(Choice):
    """Histogram gradient boosting, one ensemble per genre, on vectors reduced by a truncated SVD."""

    kind: Literal["gradient-boosting"] = "gradient-boosting"
    treats_imbalance: ClassVar[bool] = False
    components: PositiveInt = Field(100, description="Dimensions that the SVD leaves.")
    n_trees: PositiveInt = Field(80, description="Boosting rounds.")
    learning_rate: PositiveFloat = Field(0.1, description="Shrinkage of each round.")
    max_leaves: Annotated[int, Field(ge=2)] = Field(15, description="Leaves of each tree.")


class MultilayerPerceptron(Choice):
    """A network with one hidden layer and one logistic output a genre, on the sparse vectors."""

    kind: Literal["multilayer-perceptron"] = "multilayer-perceptron"
    treats_imbalance: ClassVar[bool] = False
    hidden: PositiveInt = Field(128, description="Units of the hidden layer.")
    alpha: PositiveFloat = Field(1e-3, description="Strength of the L2 penalty.")
    learning_rate: PositiveFloat = Field(1e-3, description="Step size of Adam.")
    max_epochs: PositiveInt = Field(
        40, description="Passes over train; it stops earlier when a held-out tenth says so."
    )


class ClassifierChains(Choice):
    """Chains of logistic regressions, each genre also reading the genres before it; the mean over random orders."""

    kind: Literal["classifier-chains"] = "classifier-chains"
    treats_imbalance: ClassVar[bool] = True
    C: PositiveFloat = Field(4.0, description="Inverse strength of the L2 penalty.")
    n_chains: PositiveInt = Field(3, description="Number of random orders.")
    folds: Annotated[int, Field(ge=2)] = Field(3, description="Folds whose held-out probabilities a genre learns from.")


class StackedLogisticRegression(Choice):
    """Two levels of logistic regressions: the second reads the out-of-fold log-odds of all genres of the first."""

    kind: Literal["stacked-logistic-regression"] = "stacked-logistic-regression"
    treats_imbalance: ClassVar[bool] = True
    C: PositiveFloat = Field(4.0, description="Inverse strength of the first level's L2 penalty.")
    C2: PositiveFloat = Field(0.3, description="Inverse strength of the second level's L2 penalty.")
    folds: Annotated[int, Field(ge=2)] = Field(5, description="Folds whose held-out log-odds the second level reads.")


Classifier = Annotated[
    LogisticRegression
    | LinearSVM
    | NaiveBayes
    | NaiveBayesSVM
    | NearestNeighbours
    | DecisionTree
    | RandomForest
    | GradientBoosting
    | MultilayerPerceptron
    | ClassifierChains
    | StackedLogisticRegression,
    Field(discriminator="kind"),
]
