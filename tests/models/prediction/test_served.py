import shutil
from pathlib import Path

import pandas as pd
import pytest
from mlflow.exceptions import MlflowException

from tasks.core.files import write_hashes
from tasks.models.pipeline import GenreModel
from tasks.models.served import _load_pyfunc


@pytest.fixture
def folder(stored_once, tmp_path):
    """A stored classifier of this test's own."""
    own = Path(shutil.copytree(stored_once, tmp_path / "stored"))
    write_hashes(own)
    return own


def test_fields_of_an_own_table_may_be_any_number(folder, monkeypatch):
    served = _load_pyfunc(str(folder))
    monkeypatch.setattr(GenreModel, "own_fields", ("price",))
    seen = []
    served.classifier.predict = lambda movies, _rule: seen.append(movies) or movies
    served.predict(pd.DataFrame({"description": ["a", "b", "c"], "price": [1.5, 2.0, None]}))
    assert seen[0]["price"].to_list() == ["1.5", "2", None]


def test_whole_numbers_of_any_length_keep_their_digits(folder):
    served = _load_pyfunc(str(folder))
    seen = []
    served.classifier.predict = lambda movies, _rule: seen.append(movies) or movies
    years = pd.Series([2**53 + 1, 10**400], dtype=object)
    served.predict(pd.DataFrame({"description": ["a", "b"], "year": years}))
    assert seen[0]["year"].to_list() == ["9007199254740993", f"1{'0' * 400}"]


def test_served_form_answers_every_row_of_a_frame(folder):
    served = _load_pyfunc(str(folder))
    frame = pd.DataFrame({"description": ["haunted ghosts", None, "saloon"], "year": [1, 2, 3]})
    answered = served.predict(frame, {"rule": ""})
    assert answered["genres"].tolist()[::2] == ["Horror", "Western"]
    assert answered.shape == (3, 4)
    assert served.predict(frame, {"rule": "fixed"}).shape == (3, 4)
    assert served.predict(frame, {"rule": "Drama=0,Horror=0"})["genres"].str.contains("Drama, Horror").all()


def test_served_form_reads_whole_numbers_in_columns_of_numbers(folder):
    served = _load_pyfunc(str(folder))
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
def test_served_form_tells_the_caller_what_is_no_text(folder, column, value):
    frame = pd.DataFrame({"description": ["a", "b"]})
    frame[column] = pd.Series(["a", value], dtype=object)
    with pytest.raises(MlflowException, match=f"^{column}, row 2: ") as raised:
        _load_pyfunc(str(folder)).predict(frame)
    assert raised.value.get_http_status_code() == 400
