"""What fine-tuning minimises, as plain configuration. Owns the choices; `tasks.models.encoder.losses` computes them."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat

from tasks.models.choice import Choice


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
