"""What a named model is made of, as plain configuration."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal, Self, get_args

from pydantic import Discriminator, Field, NonNegativeFloat, PositiveFloat, PositiveInt, Tag, model_validator

from tasks.core.errors import ConfigError
from tasks.models.estimators import SET_BY_THE_MODEL, SHORT_NAMES, Choice, EstimatorSpec, check_role

Precision = Literal["float32", "int8"]


def read_precision(text: str) -> Precision:
    """Return the precision of this name.

    Raises:
        ConfigError: there is none.
    """
    for precision in get_args(Precision):
        if precision == text:
            return precision  # type: ignore[no-any-return]  # one of the names above
    raise ConfigError(f"there is no precision {text!r}; there are {' and '.join(get_args(Precision))}")


PLACEHOLDERS: Final = ("title", "description", "decade", "year", "certificate", "runtime", "director", "star")
_PIECE: Final = re.compile(r"\[([^\[\]]*)\]|([^\[\]]+)|([\[\]])")
_PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")


def check_template(template: str) -> None:
    """Make sure that a template can be filled.

    Raises:
        ValueError: brackets do not match, a placeholder is unknown, or there is none.
    """
    if any(piece[3] for piece in _PIECE.finditer(template)):
        raise ValueError(f"template {template!r}: square brackets must be in pairs and not within each other")
    names = placeholders(template)
    if strangers := sorted(set(names).difference(PLACEHOLDERS)):
        raise ValueError(f"template {template!r} has no {strangers[0]!r} to name; there are: {', '.join(PLACEHOLDERS)}")
    if not names or re.search(r"[{}]", _PLACEHOLDER.sub("", template)):
        raise ValueError(f"template {template!r} must hold placeholders such as {{description}}, braces in pairs")


def placeholders(template: str) -> list[str]:
    """Return the names in a template, in their order."""
    return _PLACEHOLDER.findall(template)


def fill_template(template: str, values: Mapping[str, Sequence[str]], n_movies: int) -> list[str]:
    """Return the text of each movie; what is not known is the empty string.

    >>> fill_template("{title}[ ({year})]. {description}", {"title": ["A"], "year": [""], "description": ["B."]}, 1)
    ['A. B.']
    """
    pieces = []
    for optional, always, _ in _PIECE.findall(template):
        split = _PLACEHOLDER.split(optional or always)  # text, name, text, name, ..., text
        pieces.append((bool(optional), split[::2], [values[name] for name in split[1::2]]))
    return ["".join(_fill(piece, row) for piece in pieces) for row in range(n_movies)]


def _fill(piece: tuple[bool, list[str], list[Sequence[str]]], row: int) -> str:
    is_optional, texts, columns = piece
    values = [column[row] for column in columns]
    if is_optional and not all(values):
        return ""
    return texts[0] + "".join(value + text for value, text in zip(values, texts[1:], strict=True))


class BinaryCrossEntropy(Choice):
    """The mean of `-log(p)` over all pairs of movie and genre, p being the probability given to what is true."""

    kind: Literal["bce"] = "bce"


class LogWeighted(Choice):
    """Binary cross-entropy, a genre weighing `log(N / (count + 1))`: the rarer in train, the more.

    N is the number of train movies, `count` that of the genre; weights are divided by their mean.
    """

    kind: Literal["log-weighted"] = "log-weighted"


class Focal(Choice):
    """The mean of `-a (1 - p)^gamma log(p)`: what is told well already hardly counts.

    a is `alpha` where the movie has the genre and `1 - alpha` where it has not.

    Source: Lin et al. 2017, Focal Loss for Dense Object Detection, section 3.
    """

    kind: Literal["focal"] = "focal"
    alpha: Annotated[float, Field(gt=0, lt=1)] = Field(0.375, description="Weight of a genre that a movie has.")
    gamma: NonNegativeFloat = Field(2.0, description="How fast the well told fade; 0: weighted cross-entropy.")


class Asymmetric(Choice):
    """The mean of `-(1 - p)^g log(p)` with a g of its own for genres that a movie has and for those that it has not.

    For the latter the genre's probability is first lowered by `margin`, so that easy ones count nothing at all.

    Source: Ridnik et al. 2021, Asymmetric Loss For Multi-Label Classification, section 2.
    """

    kind: Literal["asymmetric"] = "asymmetric"
    gamma_positive: NonNegativeFloat = Field(1.0, description="g of a genre that a movie has.")
    gamma_negative: NonNegativeFloat = Field(4.0, description="g of a genre that a movie has not.")
    margin: Annotated[float, Field(ge=0, lt=1)] = Field(0.05, description="What a false genre may have for nothing.")


Loss = Annotated[BinaryCrossEntropy | LogWeighted | Focal | Asymmetric, Field(discriminator="kind")]


class FineTuning(Choice):
    """The schedule and the optimiser (AdamW)."""

    epochs: PositiveInt = Field(3, description="Passes over train at most.")
    batch_size: PositiveInt = Field(32, description="Movies that a step sees.")
    accumulate: PositiveInt = Field(1, description="Pieces that a step's movies are computed in, to need less memory.")
    learning_rate: Annotated[float, Field(gt=0, le=1)] = Field(
        1.2e-4, description="Greatest rate, of the head and the uppermost layer."
    )
    layer_decay: Annotated[float, Field(gt=0, le=1)] = Field(
        0.9, description="Rate of a layer by that of the one above."
    )
    head_rate: PositiveFloat = Field(10.0, description="Rate of the head by that of the uppermost layer.")
    warm_up: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.06, description="Share of the steps in which the rate rises; then it falls linearly to 0."
    )
    weight_decay: NonNegativeFloat = Field(0.01, description="Of all weights but biases and norms.")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="Share of values left out at random in all layers. Without, trainings can run side by side."
    )
    max_grad_norm: PositiveFloat = Field(1.0, description="Length to which a step's gradient is cut.")
    evaluations: PositiveInt = Field(2, description="Evaluations on validation, and checkpoints, an epoch.")
    patience: PositiveInt = Field(4, description="Evaluations in a row without a better one that end the training.")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="Of the products in training; auto: bfloat16 where the processor has it."
    )
    budget_minutes: PositiveFloat | None = Field(
        None, description="Train as much as fits: fewer epochs, then fewer layers, then only the head; none: no limit."
    )


IS_A_TABLE: Final = True  # see tasks.stage

# Which movies a fit may see. "all-but-fold-k" is cross-validation: all movies, of any part, that are not in fold k.
TrainOn = Annotated[str, Field(pattern=r"^(train|development|all-but-fold-[0-4])$")]


# "own" are the further columns that a table of one's own names.
FieldName = Literal["decade", "year", "certificate", "runtime", "director", "star", "own"]


class InputSpec(Choice):
    """Which text of a movie a model reads."""

    title: bool = Field(False, description="Put the title before the description.")
    text: Literal["surface", "lemmas"] = Field("surface", description="Words as written, or their lemmas.")
    lowercase: bool = Field(True, description="Ignore case. Lemmas of simplemma have none.")
    pipeline: Literal["simplemma", "en_core_web_sm"] = Field(
        "simplemma", description="What makes the lemmas; the corpus must have been annotated with the same."
    )


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


class ModelSpec(Choice):
    """A line of the registry: a name and what it stands for."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", description="Name in leaderboards, folders and MLflow.")
    input: InputSpec = InputSpec()
    representations: tuple[EstimatorSpec, ...] = Field(
        default_factory=lambda: (EstimatorSpec.model_validate({"kind": "bag-of-words"}),),
        min_length=1,
        description="Transformers from the input to vectors, which are put side by side.",
    )
    classifier: EstimatorSpec
    imbalance: Imbalance = Imbalance()

    @property
    def reads_fields(self) -> bool:
        """Whether it reads what is known beside the text."""
        return any(map(reads_movies, self.representations))

    @model_validator(mode="after")
    def _parts_do_what_they_should(self) -> Self:
        check_role(self.classifier, is_classifier=True)
        for representation in self.representations:
            check_role(representation, is_classifier=False)
        return self

    @model_validator(mode="after")
    def _classifier_can_treat_imbalance(self) -> Self:
        if not self.imbalance.is_none and not self.classifier.treats_imbalance:
            raise ValueError(f"a {self.classifier.kind} classifier takes no balanced weights and no SMOTE")
        return self

    def new_classifier(self, genres: Sequence[str], random_state: int) -> Any:
        """Return the classifier, unfitted, for rows of labels in the order of the genres."""
        from tasks.models.multilabel import AnyClassifier, MultilabelClassifier  # noqa: PLC0415

        if self.imbalance.is_none:
            classifier = self.classifier.make(random_state=random_state)
        else:
            treated = self.imbalance.genres
            classifier = self.classifier.make(
                random_state=random_state,
                class_weight="balanced" if self.imbalance.balanced else None,
                smote_ratio=self.imbalance.smote_ratio,
                treated=tuple(column for column, genre in enumerate(genres) if genre in treated) if treated else None,
            )
        is_ours = isinstance(classifier, MultilabelClassifier)
        return classifier if is_ours else AnyClassifier(classifier, random_state=random_state)


class TransformerSpec(Choice):
    """A model that is an encoder with a head for genres, both trained: fine-tuning."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", description="Name in leaderboards, folders and MLflow.")
    input: InputSpec = Field(
        InputSpec(lowercase=False), description="How the description is read; the template says what stands beside it."
    )
    template: str = Field(
        "{title}. {description}",
        description="What the encoder reads. {title}, {description}, {decade}, {year}, {certificate}, {runtime}, "
        "{director} and {star} stand for a movie's own; what is in [square brackets] is left out where one of those in "
        "it is not known.",
    )
    encoder: str = Field(
        "distilbert-base-uncased", description="A name on the Hugging Face hub, a folder, or minilm (embedded)."
    )
    max_tokens: Annotated[int, Field(ge=8)] = Field(128, description="Tokens of a text beyond which it is cut.")
    loss: Loss = Field(BinaryCrossEntropy(), description="What training minimises.")
    training: FineTuning = Field(FineTuning(), description="How it is trained.")

    @model_validator(mode="after")
    def _template_is_one(self) -> Self:
        check_template(self.template)
        return self


class EnsembleSpec(Choice):
    """A model made of other models of the same run: weighted sums of their log-odds, weights fitted on validation."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", description="Name in leaderboards, folders and MLflow.")
    members: tuple[str, ...] = Field(min_length=2, description="Names of models that are trained in the same run.")
    method: Literal["blend", "stack"] = Field(
        "blend", description="One weight a member for all genres; or one a member and genre, drawn to it, and a bias."
    )


def _form(given: Any) -> str:
    """Tell by its fields which form of model a mapping describes, so that mistakes are told of that form only."""
    if isinstance(given, Choice):
        return type(given).__name__
    fields = set(given) if isinstance(given, dict) else set()
    if "members" in fields:
        return EnsembleSpec.__name__
    is_transformer = fields & {"encoder", "template", "loss", "training"}
    return TransformerSpec.__name__ if is_transformer else ModelSpec.__name__


SingleModel = ModelSpec | TransformerSpec
AnyModel = Annotated[
    Annotated[ModelSpec, Tag("ModelSpec")]
    | Annotated[TransformerSpec, Tag("TransformerSpec")]
    | Annotated[EnsembleSpec, Tag("EnsembleSpec")],
    Discriminator(_form),
]


class FeaturesSpec(Choice):
    """A fitted representation of one input, shared by all models that name the same one."""

    input: InputSpec
    representation: EstimatorSpec
    train_on: TrainOn = "train"

    @property
    def name(self) -> str:
        """Readable name of the feature folder, with a digest that tells apart what reads alike."""
        digest = hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:8]
        what = (
            []
            if reads_movies(self.representation)
            else [
                "title+description" if self.input.title else "description",
                self.input.text if self.input.lowercase else f"{self.input.text}-cased",
            ]
        )
        train_on = [] if self.train_on == "train" else [self.train_on]
        return "_".join([*what, label_of(self.representation), *train_on, digest])


def shown_params(model: AnyModel) -> dict[str, Any]:
    """Return a model's parameters by short dotted names, as people compare them.

    Of estimators these are what `get_params` gives, without the seed: `classifier.C`, `bag-of-words.max_n`.
    """
    if not isinstance(model, ModelSpec):
        return model.model_dump(mode="json", exclude={"name"})
    shown: dict[str, Any] = {"input": model.input.model_dump(), "classifier": model.classifier.kind}
    parts = [("classifier", model.classifier), *((each.kind, each) for each in model.representations)]
    for prefix, part in parts:
        hidden = SET_BY_THE_MODEL if part.kind in SHORT_NAMES else ()
        values = part.make().get_params()
        shown |= {f"{prefix}.{name}": value for name, value in values.items() if name not in hidden}
    shown["vectors"] = " + ".join(each.kind for each in model.representations)
    shown |= {} if model.imbalance.is_none else {"imbalance": model.imbalance.model_dump(mode="json")}
    return {name: value for name, value in shown.items() if _is_plain(value) and not name.endswith("random_state")}


def _is_plain(value: Any) -> bool:
    """Return whether a value can be shown as JSON; estimators and what holds them cannot."""
    try:
        json.dumps(value)
    except TypeError:
        return False
    return True


def reads_movies(representation: EstimatorSpec) -> bool:
    """Return whether a transformer reads movies as a frame; others read their text."""
    return bool(getattr(representation.estimator_class, "reads_movies", False))


def label_of(representation: EstimatorSpec) -> str:
    """Return what a transformer is, in the name of a folder."""
    return str(getattr(representation.make(), "label", representation.estimator_class.__name__.lower()))


def features_of(model: ModelSpec, train_on: str = "train") -> tuple[FeaturesSpec, ...]:
    """Return which features a model reads, in the order in which they stand side by side.

    Side fields do not depend on how text is read, so that all models share them.
    """
    return tuple(
        FeaturesSpec(
            input=InputSpec() if reads_movies(representation) else model.input,
            representation=representation,
            train_on=train_on,
        )
        for representation in model.representations
    )
