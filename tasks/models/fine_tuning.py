"""How an encoder is fine-tuned, as plain configuration. Owns the choices; `tasks.models.encoder` trains."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from tasks.models.choice import Choice


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
