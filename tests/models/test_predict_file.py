import polars as pl
import pytest

from tasks.decision.fit import fit_rules
from tasks.decision.stored import rules_to_json
from tasks.errors import ConfigError, DataError, ModelError
from tasks.hashes import write_hashes
from tasks.models import classifier, classifiers, spec
from tasks.models.classifier import GenreClassifier
from tasks.models.genre_model import GenreModel
from tasks.models.predict_file import predict_file
from tasks.models.served import _load_pyfunc
from tasks.scores import truth_matrix

GENRES = ("Drama", "Horror", "Western")


@pytest.fixture
def folder(movies, tmp_path):
    """A stored classifier."""
    import json  # noqa: PLC0415

    model = GenreModel(spec.ModelSpec(name="m", classifier=classifiers.LogisticRegression(C=10)), GENRES).fit(
        movies, seed=1
    )
    rules = fit_rules(model.scores(movies), truth_matrix(movies["genres"].to_list(), GENRES))
    (tmp_path / "stored" / "model").mkdir(parents=True)
    model.save(tmp_path / "stored" / "model")
    text = json.dumps({"chosen": "global", "genres": GENRES, "rules": rules_to_json(rules)})
    (tmp_path / "stored" / "rules.json").write_text(text, encoding="utf-8")
    return tmp_path / "stored"


def write(tmp_path, content: str | bytes):
    path = tmp_path / "in.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_rows_keep_their_order_and_extra_columns_are_ignored(folder, tmp_path):
    source = write(
        tmp_path, '\ufeffextra,movie_id,description\r\n1,b,"haunted house, ghosts"\r\n2,a,"saloon\nsheriff"\r\n'
    )
    assert predict_file(folder, source, tmp_path / "new" / "out.csv", None) == 2
    out = pl.read_csv(tmp_path / "new" / "out.csv")
    assert out.columns == ["movie_id", "genres", "score_Drama", "score_Horror", "score_Western"]
    assert out["movie_id"].to_list() == ["b", "a"]
    assert out["genres"].to_list() == ["Horror", "Western"]


def test_pieces_make_no_difference(folder, tmp_path, monkeypatch, movies):
    source = tmp_path / "all.csv"
    movies.select("movie_id", "description").write_csv(source)
    predict_file(folder, source, tmp_path / "whole.csv", "expected-jaccard")
    monkeypatch.setattr(classifier, "ROWS_AT_ONCE", 7)
    monkeypatch.setattr("tasks.models.predict_file.ROWS_AT_ONCE", 11)
    predict_file(folder, source, tmp_path / "pieces.csv", "expected-jaccard")
    assert (tmp_path / "pieces.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_the_rule_and_its_thresholds_can_be_changed_afterwards(folder, tmp_path):
    source = write(tmp_path, "movie_id,description\na,haunted ghosts\nb,saloon sheriff\n")
    decided = {}
    for rule in ("top=2", "threshold=1,fallback=none", "Western=0"):
        predict_file(folder, source, tmp_path / "out.csv", rule)
        decided[rule] = pl.read_csv(tmp_path / "out.csv")["genres"].to_list()
    assert [len(genres.split(", ")) for genres in decided["top=2"]] == [2, 2]
    assert decided["threshold=1,fallback=none"] == ["", ""]
    assert decided["Western=0"] == ["Horror, Western", "Western"]
    with pytest.raises(ConfigError, match="no genre is named 'Horor', did you mean Horror"):
        predict_file(folder, source, tmp_path / "out.csv", "Horor=0.1")


def test_header_alone_gives_a_header_alone(folder, tmp_path):
    assert predict_file(folder, write(tmp_path, "movie_id,description\n"), tmp_path / "out.csv", None) == 0
    assert (tmp_path / "out.csv").read_text().startswith("movie_id,genres,score_Drama")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "has no column movie_id, description"),
        ("movie_id,plot\na,b\n", "has no column description; its header is: movie_id, plot"),
        ("movie_id,description\na,b,c\n", "line 2: 3 fields, expected 2"),
        ("movie_id,description\na\n", "line 2: 1 fields, expected 2"),
        (b"movie_id,description\na,\xff\n", "not a CSV in UTF-8"),
        ('movie_id,description\na,"never closed\n', "not a CSV in UTF-8"),
    ],
)
def test_bad_input_is_named(folder, tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        predict_file(folder, write(tmp_path, content), tmp_path / "out.csv", None)
    assert not (tmp_path / "out.csv").exists()


def test_missing_input_is_named(folder, tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        predict_file(folder, tmp_path / "none.csv", tmp_path / "out.csv", None)


def test_unknown_rule_leaves_no_file(folder, tmp_path):
    with pytest.raises(ConfigError, match="no rule is named 'dice'"):
        predict_file(folder, write(tmp_path, "movie_id,description\na,b\n"), tmp_path / "out.csv", "dice")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["in.csv"]


@pytest.mark.parametrize(
    "content",
    [
        "{",
        '{"chosen": "global"}',
        '{"chosen": "dice", "rules": {}}',
        "[]",
        '{"chosen": "dice", "rules": {"fixed": {"kind": "global-threshold", "threshold": 0.5}}}',
    ],
)
def test_damaged_rules_are_refused(folder, content):
    (folder / "rules.json").write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match="missing or damaged"):
        GenreClassifier.load(folder)


def test_served_form_answers_every_row_of_a_frame(folder):
    import pandas as pd  # noqa: PLC0415

    write_hashes(folder)
    served = _load_pyfunc(str(folder))
    frame = pd.DataFrame({"description": ["haunted ghosts", None, "saloon"], "year": [1, 2, 3]})
    answered = served.predict(frame, {"rule": ""})
    assert answered["genres"].tolist()[::2] == ["Horror", "Western"]
    assert answered.shape == (3, 4)
    assert served.predict(frame, {"rule": "fixed"}).shape == (3, 4)
    assert served.predict(frame, {"rule": "Drama=0,Horror=0"})["genres"].str.contains("Drama, Horror").all()
