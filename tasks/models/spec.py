"""The configuration of a named model."""

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Discriminator, Field, NonNegativeFloat, PositiveFloat, PositiveInt, Tag, model_validator

from tasks.models.estimators import SET_BY_THE_MODEL, SHORT_NAMES, Choice, EstimatorSpec, check_role

IS_A_TABLE: Final = True  # see tasks.stage

Share = Annotated[float, Field(gt=0, le=1)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Precision = Literal["float32", "int8"]
# The movies that a fit may use. "all-but-fold-k", for cross-validation: all movies, of any part, not in fold k.
TrainOn = Annotated[str, Field(pattern=r"^(train|development|all-but-fold-[0-4])$")]
# "own" are the extra columns of a user's own table.
FieldName = Literal["decade", "year", "certificate", "runtime", "director", "star", "own"]

# In `{title}[ ({year})]. {description}`: a part in brackets, the text between, or a bracket without its other.
PLACEHOLDERS: Final = ("title", "description", "decade", "year", "certificate", "runtime", "director", "star")
TEMPLATE_PART: Final = re.compile(r"\[([^\[\]]*)\]|([^\[\]]+)|([\[\]])")
PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")


class BinaryCrossEntropy(Choice):
    """The mean of `-log(p)` over all pairs of movie and genre, with p the predicted probability of the true label."""

    kind: Literal["bce"] = "bce"


class LogWeighted(Choice):
    """Binary cross-entropy with weight `log(N / (count + 1))` per genre, which is larger for rare genres.

    N is the number of train movies, `count` that of the genre; weights are divided by their mean.
    """

    kind: Literal["log-weighted"] = "log-weighted"


class Focal(Choice):
    """The mean of `-a (1 - p)^gamma log(p)`, which gives well-predicted labels little weight.

    a is `alpha` if the movie has the genre and `1 - alpha` if it does not.

    Source: Lin et al. 2017, Focal Loss for Dense Object Detection, section 3.
    """

    kind: Literal["focal"] = "focal"
    alpha: Annotated[float, Field(gt=0, lt=1)] = Field(0.375, description="Weight of a genre that a movie has.")
    gamma: NonNegativeFloat = Field(2.0, description="How fast well-predicted labels lose weight.")


class Asymmetric(Choice):
    """The mean of `-(1 - p)^g log(p)`, with one g for genres that a movie has and another for those it does not have.

    For the latter the genre's probability is first lowered by `margin`, so that easy negatives are ignored.

    Source: Ridnik et al. 2021, Asymmetric Loss For Multi-Label Classification, section 2.
    """

    kind: Literal["asymmetric"] = "asymmetric"
    gamma_positive: NonNegativeFloat = Field(1.0, description="g of a genre that a movie has.")
    gamma_negative: NonNegativeFloat = Field(4.0, description="g of a genre that a movie does not have.")
    margin: Fraction = Field(0.05, description="Probability below which a false genre is ignored.")


Loss = Annotated[BinaryCrossEntropy | LogWeighted | Focal | Asymmetric, Field(discriminator="kind")]


class FineTuning(Choice):
    """The schedule and the optimiser (AdamW)."""

    epochs: PositiveInt = Field(3, description="Maximum number of passes over train.")
    batch_size: PositiveInt = Field(32, description="Movies per step.")
    accumulate: PositiveInt = Field(1, description="Number of parts to compute a batch in, to save memory.")
    learning_rate: Share = Field(1.2e-4, description="Peak rate of the top layer.")
    layer_decay: Share = Field(0.9, description="Rate of a layer relative to the one above.")
    head_rate: PositiveFloat = Field(10.0, description="Rate of the head relative to the top layer.")
    warm_up: Fraction = Field(
        0.06, description="Share of steps in which the rate rises, before it falls linearly to 0."
    )
    weight_decay: NonNegativeFloat = Field(0.01, description="Weight decay, except of biases and norms.")
    dropout: Fraction = Field(
        0.0, description="Share of values dropped at random in all layers. At 0, trainings can run in parallel."
    )
    max_grad_norm: PositiveFloat = Field(1.0, description="Maximum length of gradients, which are clipped to it.")
    evaluations: PositiveInt = Field(2, description="Evaluations on validation, and checkpoints, per epoch.")
    patience: PositiveInt = Field(4, description="Number of evaluations without improvement that ends training.")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="Number format in training; auto: bfloat16 if the processor supports it."
    )
    budget_minutes: PositiveFloat | None = Field(
        None, description="Train what fits: fewer epochs, then fewer layers, then only the head. Default: no limit."
    )


class InputSpec(Choice):
    """The text of a movie that a model reads."""

    title: bool = Field(False, description="Put the title before the description.")
    text: Literal["surface", "lemmas"] = Field("surface", description="Words as written, or their lemmas.")
    lowercase: bool = Field(True, description="Ignore case. Lemmas of simplemma have none.")
    pipeline: Literal["simplemma", "en_core_web_sm"] = Field(
        "simplemma", description="Source of the lemmas; the corpus must have the same."
    )


class Imbalance(Choice):
    """The treatment of rare genres by a classifier, in the two-class problem of each genre."""

    balanced: bool = Field(False, description="Weight both classes of a genre by the inverse of their frequency.")
    smote_ratio: Share | None = Field(
        None, description="Add synthetic movies to a genre, up to this ratio to the movies without it (SMOTE)."
    )
    genres: tuple[str, ...] = Field((), description="Genres to treat. Default: all.")

    @property
    def suffix(self) -> str:
        """The suffix for a model's name, such as "-balanced" or "-smote50"; empty if nothing is done."""
        smote = "" if self.smote_ratio is None else f"-smote{self.smote_ratio * 100:g}".replace(".", "p")
        return smote + ("-balanced" if self.balanced else "")


ModelName = Annotated[
    str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", description="Name in leaderboards, folders and MLflow.")
]


class ModelSpec(Choice):
    """A model made of scikit-learn estimators."""

    name: ModelName
    input: InputSpec = InputSpec()
    representations: tuple[EstimatorSpec, ...] = Field(
        default_factory=lambda: (EstimatorSpec.model_validate({"kind": "bag-of-words"}),),
        min_length=1,
        description="Transformers from the input to vectors, which are concatenated.",
    )
    classifier: EstimatorSpec
    imbalance: Imbalance = Imbalance()

    @property
    def reads_fields(self) -> bool:
        """Whether it reads fields other than the text."""
        return any(map(reads_movies, self.representations))

    @model_validator(mode="after")
    def _check_parts(self) -> Self:
        check_role(self.classifier, is_classifier=True)
        for representation in self.representations:
            check_role(representation, is_classifier=False)
        if self.imbalance.suffix and not self.classifier.treats_imbalance:
            raise ValueError(f"a {self.classifier.kind} classifier takes no balanced weights and no SMOTE")
        return self

    def new_classifier(self, genres: Sequence[str], random_state: int) -> Any:
        """Return the unfitted classifier, for rows of labels in the order of the genres."""
        from tasks.models.multilabel import AnyClassifier, MultilabelClassifier  # noqa: PLC0415

        treatment: dict[str, Any] = {}
        if self.imbalance.suffix:
            columns = tuple(column for column, genre in enumerate(genres) if genre in self.imbalance.genres)
            treatment = {
                "class_weight": "balanced" if self.imbalance.balanced else None,
                "smote_ratio": self.imbalance.smote_ratio,
                "treated": columns if self.imbalance.genres else None,
            }
        classifier = self.classifier.make(random_state=random_state, **treatment)
        is_ours = isinstance(classifier, MultilabelClassifier)
        return classifier if is_ours else AnyClassifier(classifier, random_state=random_state)


class TransformerSpec(Choice):
    """A fine-tuned encoder with a head for genres."""

    name: ModelName
    input: InputSpec = Field(
        InputSpec(lowercase=False), description="How to read the description; the template adds other fields."
    )
    template: str = Field(
        "{title}. {description}",
        description="What the encoder reads, with the placeholders {title}, {description}, {decade}, {year}, "
        "{certificate}, {runtime}, {director} and {star}. A part in [square brackets] is left out if a value in it is "
        "unknown.",
    )
    encoder: str = Field(
        "distilbert-base-uncased", description="A name on the Hugging Face hub, a folder, or minilm (embedded)."
    )
    max_tokens: Annotated[int, Field(ge=8)] = Field(128, description="Maximum number of tokens; longer texts are cut.")
    loss: Loss = Field(BinaryCrossEntropy(), description="Loss to minimise.")
    training: FineTuning = Field(FineTuning(), description="Options of training.")

    @model_validator(mode="after")
    def _check_template(self) -> Self:
        template = self.template
        if any(part[3] for part in TEMPLATE_PART.finditer(template)):
            raise ValueError(f"template {template!r}: square brackets must be in pairs and not within each other")
        names = PLACEHOLDER.findall(template)
        if unknown := sorted(set(names).difference(PLACEHOLDERS)):
            known = ", ".join(PLACEHOLDERS)
            raise ValueError(f"template {template!r}: unknown placeholder {unknown[0]!r}; there are: {known}")
        if not names or re.search(r"[{}]", PLACEHOLDER.sub("", template)):
            raise ValueError(f"template {template!r} must have placeholders such as {{description}}, braces in pairs")
        return self


class EnsembleSpec(Choice):
    """Weighted sums of the log-odds of other models of the same run, with weights fitted on validation."""

    name: ModelName
    members: tuple[str, ...] = Field(min_length=2, description="Names of models, trained in the same run.")
    method: Literal["blend", "stack"] = Field(
        "blend", description="blend: one weight per member. stack: one per member and genre, shrunk to it, and a bias."
    )


def _class_of(given: Any) -> str:
    """Return the class of model that a mapping describes, so that errors are about that class only."""
    if isinstance(given, Choice):
        return type(given).__name__
    fields = set(given) if isinstance(given, dict) else set()
    if "members" in fields:
        return "EnsembleSpec"
    return "TransformerSpec" if fields & {"encoder", "template", "loss", "training"} else "ModelSpec"


SingleModel = ModelSpec | TransformerSpec
AnyModel = Annotated[
    Annotated[ModelSpec, Tag("ModelSpec")]
    | Annotated[TransformerSpec, Tag("TransformerSpec")]
    | Annotated[EnsembleSpec, Tag("EnsembleSpec")],
    Discriminator(_class_of),
]


class FeaturesSpec(Choice):
    """A fitted representation of one input, shared by all models that name the same one."""

    input: InputSpec
    representation: EstimatorSpec
    train_on: TrainOn = "train"

    @property
    def name(self) -> str:
        """Readable name of the feature folder, with a digest to make it unique."""
        digest = hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:8]
        parts = []
        if not reads_movies(self.representation):
            parts.append("title+description" if self.input.title else "description")
            parts.append(self.input.text if self.input.lowercase else f"{self.input.text}-cased")
        estimator = self.representation.make()
        parts.append(str(getattr(estimator, "label", type(estimator).__name__.lower())))
        if self.train_on != "train":
            parts.append(self.train_on)
        return "_".join([*parts, digest])


def shown_params(model: AnyModel) -> dict[str, Any]:
    """Return a model's parameters, without the seed, by names such as `classifier.C` and `bag-of-words.max_n`."""
    if not isinstance(model, ModelSpec):
        return model.model_dump(mode="json", exclude={"name"})
    shown: dict[str, Any] = {"input": model.input.model_dump(), "classifier": model.classifier.kind}
    parts = [("classifier", model.classifier), *((each.kind, each) for each in model.representations)]
    for prefix, part in parts:
        hidden = SET_BY_THE_MODEL if part.kind in SHORT_NAMES else ()
        values = part.make().get_params()
        shown |= {f"{prefix}.{name}": value for name, value in values.items() if name not in hidden}
    shown["vectors"] = " + ".join(each.kind for each in model.representations)
    shown |= {"imbalance": model.imbalance.model_dump(mode="json")} if model.imbalance.suffix else {}
    return {name: value for name, value in shown.items() if _is_json(value) and not name.endswith("random_state")}


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value)  # unlike estimators
    except TypeError:
        return False
    return True


def reads_movies(representation: EstimatorSpec) -> bool:
    """Return whether a transformer reads movies as a frame; others read their text."""
    return bool(getattr(representation.estimator_class, "reads_movies", False))


def features_of(model: ModelSpec, train_on: str = "train") -> tuple[FeaturesSpec, ...]:
    """Return the features that a model reads, in the order of its representations; side fields ignore its input."""
    inputs = [InputSpec() if reads_movies(each) else model.input for each in model.representations]
    return tuple(
        FeaturesSpec(input=read, representation=each, train_on=train_on)
        for read, each in zip(inputs, model.representations, strict=True)
    )
