"""Every kind of classifier can be fitted, stored and read back."""

from typing import get_args

from tasks.models import classifiers
from tasks.models.fitting.fit import _FIT
from tasks.models.scoring.kinds import _STORED


def test_each_kind_is_in_both_tables():
    union, _ = get_args(classifiers.Classifier)
    kinds = {classifier.model_fields["kind"].default for classifier in get_args(union)}
    assert set(_FIT) == set(_STORED) == kinds
