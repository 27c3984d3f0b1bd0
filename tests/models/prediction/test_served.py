"""What MLflow's pyfunc flavour calls: values that count as text, and what is said of the others."""

import pandas as pd
import pytest
from mlflow.exceptions import MlflowException

from tasks.models.served import _load_pyfunc


def test_reads_whole_numbers_in_columns_of_numbers(stored_once):
    served = _load_pyfunc(str(stored_once))
    seen = []
    served.classifier.predict = lambda movies, _rule: seen.append(movies) or movies
    years = pd.Series([1999, None])  # floats, as pandas has it
    served.predict(pd.DataFrame({"description": ["a", float("nan")], "year": years, "runtime": ["90 min", pd.NA]}))
    assert seen[0].to_dicts() == [
        {"description": "a", "year": "1999", "runtime": "90 min"},
        {"description": None, "year": None, "runtime": None},
    ]


@pytest.mark.parametrize(
    ("column", "value"),
    [("description", 5), ("description", [1]), ("description", b"a"), ("description", "\ud800"), ("movie_name", True),
     ("year", 1999.5), ("year", float("inf")), ("runtime", True)],
)  # fmt: skip
def test_tells_the_caller_what_is_no_text(stored_once, column, value):
    frame = pd.DataFrame({"description": ["a", "b"]})
    frame[column] = pd.Series(["a", value], dtype=object)
    with pytest.raises(MlflowException, match=f"^{column}, row 2: ") as raised:
        _load_pyfunc(str(stored_once)).predict(frame)
    assert raised.value.get_http_status_code() == 400
