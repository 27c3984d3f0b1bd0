"""Pydantic's errors as lines for the user."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from tasks.core.errors import validation_messages
from tasks.models.spec import AnyModel


@pytest.mark.parametrize(
    ("model", "line"),
    [
        (
            {"name": "mine", "classifier": {"kind": "logistic-regression", "C": -1}},
            "classifier: parameter C: input should be greater than 0 or input should be 'per-genre', not -1",
        ),
        ({"name": "mine"}, "classifier: is required"),
        ({"name": "both", "members": ["one"]}, "members: tuple should have at least 2 items after validation, not 1"),
        ({"name": "mine", "encoder": "minilm", "rate": 1}, "rate: there is no such option"),
        (
            {"name": "mine", "encoder": "minilm", "template": "{x}"},
            (
                "template '{x}': unknown placeholder 'x'; there are: title, description, decade, year, certificate, "
                "runtime, director, star"
            ),
        ),
    ],
)
def test_an_invalid_value_is_one_line_about_the_form_that_was_meant(model: dict[str, Any], line: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(AnyModel).validate_python(model)
    assert [
        message.partition(", not [")[0].partition(", not ('")[0] for message in validation_messages(caught.value)
    ] == [line]
