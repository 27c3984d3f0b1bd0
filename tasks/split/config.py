"""The choices of the split stage. Owns the shares of the parts and whether they last; knows no movie."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class SplitConfig(BaseModel):
    """How large each part is. What is neither test nor validation is train."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    test_share: float = Field(0.1, gt=0, lt=1, description="Share of all movies that the final figures are made on.")
    validation_share: float = Field(
        0.1, gt=0, lt=1, description="Share of all movies that decision rules and models are chosen on."
    )
    development_share: float = Field(
        0.1, gt=0, lt=1, description="Share of the train part that is marked as its development subset."
    )
    keep_sides: bool = Field(
        True, description="Let movies that an earlier run divided, by the same shares and seed, stay where they are."
    )

    @model_validator(mode="after")
    def _leave_something_to_train_on(self) -> Self:
        if self.test_share + self.validation_share >= 1:
            raise ValueError(
                f"test_share {self.test_share} and validation_share {self.validation_share} leave nothing to train on; "
                "their sum must be below 1"
            )
        return self
