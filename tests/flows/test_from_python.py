"""The public face for notebooks and other programs."""

import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

import genreflow as gf
from tasks.core.errors import ConfigError, DataError
from tasks.core.settings import PROJECT_ROOT, data_paths

pytestmark = pytest.mark.filterwarnings("default")


class Odd(BaseEstimator):
    """Predicts one number a row."""

    def fit(self, *_):
        return self

    def predict(self, X):
        return np.zeros(len(X))


PLOTS = {
    "Horror": "A ghost haunts the old house and its cellar.",
    "War": "Two soldiers hold a bridge against a whole army.",
}
MOVIES = pl.DataFrame(
    {
        "movie_name": [f"Number {number}" for number in range(40)],
        "description": [list(PLOTS.values())[number % 2] for number in range(40)],
        "genres": [[list(PLOTS)[number % 2]] for number in range(40)],
    }
)


@pytest.fixture
def fitted() -> gf.GenreEstimator:
    return gf.make_model("nb-counts", alpha=0.5).fit(MOVIES, MOVIES["genres"])


def test_a_model_is_fitted_and_predicts_genres(fitted: gf.GenreEstimator) -> None:
    assert fitted.genres_ == ("Horror", "War")
    assert fitted.predict(MOVIES).tolist() == MOVIES["genres"].to_list()
    scores = fitted.predict_proba(MOVIES)
    assert scores.shape == (40, 2)
    assert (scores.argmax(axis=1) == np.arange(40) % 2).all()
    assert fitted.score(MOVIES, MOVIES["genres"]) == 1.0
    assert fitted.set_params(rule="top=2").predict(MOVIES[:1]).tolist() == [["Horror", "War"]]


def test_frames_and_texts_of_all_kinds_give_the_same(fitted: gf.GenreEstimator) -> None:
    expected = fitted.predict_proba(MOVIES)
    pandas = MOVIES.to_pandas()
    pandas.index = pandas.index[::-1]
    texts = MOVIES["description"]
    for rows in (pandas, texts, texts.to_list(), texts.to_numpy(), pandas["description"]):
        np.testing.assert_array_equal(fitted.predict_proba(rows), expected)
    assert fitted.predict_proba(["", None, float("nan")]).shape == (3, 2)


def test_it_can_be_cloned_searched_and_cross_validated() -> None:
    model = gf.make_model("logreg-tfidf", C=2)
    copy = clone(model)
    assert copy is not model
    assert copy.get_params(deep=False) == {"name": "logreg-tfidf", "seed": 42069, "rule": "expected-jaccard", "C": 2}
    assert repr(copy) == "GenreEstimator(C=2, name='logreg-tfidf')"
    decided = cross_val_predict(model, MOVIES, MOVIES["genres"], cv=4)
    assert decided.tolist() == MOVIES["genres"].to_list()
    assert cross_val_score(model, MOVIES.to_pandas(), MOVIES["genres"].to_list(), cv=4).mean() == 1.0
    search = GridSearchCV(model, {"C": [1, 4], "max_n": [1, 2]}, cv=2).fit(MOVIES, MOVIES["genres"])
    assert search.best_score_ == 1.0
    assert set(search.best_params_) == {"C", "max_n"}


def test_a_matrix_of_labels_gives_a_matrix() -> None:
    Y = np.eye(2, dtype=int)[np.arange(40) % 2]
    fitted = gf.make_model("nb-counts").fit(MOVIES, Y)
    np.testing.assert_array_equal(fitted.predict(MOVIES), Y)
    assert fitted.score(MOVIES, Y) == 1.0


def test_mistakes_are_told(fitted: gf.GenreEstimator) -> None:
    with pytest.raises(ConfigError, match=r"no model is named 'svm-titel'; did you mean svm-title"):
        gf.make_model("svm-titel")
    with pytest.raises(ConfigError, match="model nb-counts has no parameter 'C'"):
        gf.make_model("nb-counts", C=1)
    with pytest.raises(ConfigError, match="blend is not a single estimator; choose one of: logreg-counts"):
        gf.make_model("blend")
    with pytest.raises(NotFittedError, match="call fit first"):
        gf.make_model("nb-counts").predict(["x"])
    with pytest.raises(DataError, match="expected a list of texts"):
        fitted.predict("one text")
    with pytest.raises(DataError, match="expected texts or a frame with a column description, not int"):
        fitted.predict([1, 2])
    with pytest.raises(DataError, match="40 rows, but 2 lists of labels"):
        fitted.fit(MOVIES, [["War"], ["Horror"]])
    with pytest.raises(DataError, match="no row has a label"):
        fitted.fit(MOVIES[:2], [[], []])
    with pytest.raises(DataError, match="may hold only 0 and 1"):
        fitted.fit(MOVIES[:2], np.array([[2, 0], [0, 1]]))
    with pytest.raises(DataError, match="lists of names"):
        fitted.fit(MOVIES[:2], [[1], [2]])


def test_clean_tables_are_read_and_others_refused(tmp_path: Path) -> None:
    MOVIES.write_parquet(tmp_path / "movies.parquet")
    assert gf.read_movies(tmp_path / "movies.parquet").equals(MOVIES)
    MOVIES.drop("genres").write_parquet(tmp_path / "raw.parquet")
    with pytest.raises(DataError, match=r"raw\.parquet has no column genres; it has: movie_name, description"):
        gf.read_movies(tmp_path / "raw.parquet")
    with pytest.raises(DataError, match="cannot be read as parquet"):
        gf.read_movies(tmp_path / "none.parquet")


def test_a_logged_model_is_loaded_predicts_and_explains(finished) -> None:
    model = gf.load()
    assert repr(model).endswith(f"{len(model.genres)} genres, rule {model.classifier.rule}, champion>")
    text = "A ghost haunts the old house."
    (genres,) = model.predict([text])
    assert set(genres) <= set(model.genres)
    assert model.predict([text], "top=3")[0][0] in model.genres
    assert len(model.predict([text], "top=3")[0]) == 3
    assert model.predict_proba([text, ""]).shape == (2, len(model.genres))
    shown = model.explain(text, title="The House", rule="top=2")._repr_html_()
    assert "<style>" in shown
    assert text.split()[1] in shown


@pytest.mark.parametrize("page", ["README.md", "docs/models.md"])
def test_the_example_runs(finished, monkeypatch, page) -> None:
    monkeypatch.chdir(finished.paths.root.parent)  # which has `data` in it
    (block,) = re.findall(
        r"```python\n(import genreflow as gf\n.*?)```", (PROJECT_ROOT / page).read_text("utf-8"), re.DOTALL
    )
    made = {}
    exec(compile(block, page, "exec"), made)
    if page == "README.md":
        assert len(made["out_of_fold"]) == made["movies"].height
        assert made["champion"].genres == made["model"].genres_
    else:
        assert set(made["search"].best_params_) == {"C", "max_n"}


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["Drama"] * 40, r"labels of row 0: expected a list of names such as \['Drama'\], not 'Drama'"),
        (pl.Series(["Drama"] * 40), "expected a list of names"),
        (np.array(["Drama"] * 40), "expected a list of names"),
        ([1] * 40, "labels of row 0: expected a list"),
        ([["Drama"]] * 39 + [float("nan")], "labels of row 39"),
        (None, "labels must be lists of names, or a matrix of 0 and 1, not NoneType"),
        ([[1]] * 40, "labels must be lists of names"),
        (np.full((40, 2), 2), "may hold only 0 and 1"),
    ],
)
def test_labels_that_are_none_are_refused(labels, message) -> None:
    with pytest.raises(DataError, match=message):
        gf.make_model("nb-counts").fit(MOVIES, labels)


def test_labels_may_be_a_frame_or_sparse() -> None:
    frame = pl.DataFrame({name: [int(name in row) for row in MOVIES["genres"]] for name in PLOTS})
    expected = gf.make_model("nb-counts").fit(MOVIES, MOVIES["genres"]).predict_proba(MOVIES)
    for labels in (frame, frame.to_pandas(), sparse.csr_array(frame.to_numpy())):
        fitted = gf.make_model("nb-counts").fit(MOVIES, labels)
        np.testing.assert_array_equal(fitted.predict_proba(MOVIES), expected)
        assert fitted.predict(MOVIES).shape == (40, 2)


def test_a_table_scores_the_same_in_polars_and_pandas_and_as_columns() -> None:
    years = [1950 + number if number % 3 else None for number in range(40)]
    minutes = [60 + number * 3 if number % 5 else None for number in range(40)]
    movies = MOVIES.with_columns(year=pl.Series(years, dtype=pl.Int32), runtime_min=pl.Series(minutes, dtype=pl.Int32))
    fitted = gf.make_model("svm-fields").fit(movies, movies["genres"])
    expected = fitted.predict_proba(movies)
    assert not np.array_equal(expected, fitted.predict_proba(movies.drop("runtime_min")))
    np.testing.assert_array_equal(fitted.predict_proba(movies.to_pandas()), expected)
    np.testing.assert_array_equal(fitted.predict_proba(movies.to_dict(as_series=False)), expected)
    with pytest.raises(DataError, match="the column 'description' holds numbers"):
        fitted.predict(pl.DataFrame({"description": [5]}))


def test_a_parameter_that_is_refused_changes_nothing() -> None:
    model = gf.make_model("nb-counts", alpha=0.5)
    with pytest.raises(ConfigError, match="has no parameter 'beta'"):
        model.set_params(alpha=2, beta=3)
    assert model.get_params()["alpha"] == 0.5
    assert model.set_params(alpha=2, seed=3).get_params()["alpha"] == 2
    with pytest.raises(ConfigError, match="no rule is named 'foo'"):
        gf.make_model("nb-counts", rule="foo")


def test_several_data_folders_work_in_one_process(finished, settings_in, tmp_path) -> None:
    small = {"sample": {"n_movies": 200}, "models": ["nb-counts"], "skip": ["annotate"], "report": False}
    with settings_in(tmp_path):
        found = [gf.run(data_dir=tmp_path / name, **small, seed=seed) for name, seed in (("one", 1), ("two", 2))]
        assert data_paths().root == tmp_path / "data"
    assert data_paths() == finished.paths
    assert [run.data_dir for run in found] == [tmp_path / "one", tmp_path / "two"]
    assert found[0].leaderboard["test_jaccard"][0] != found[1].leaderboard["test_jaccard"][0]
    assert gf.compare(found[0], {"mine": gf.make_model("nb-fields")}).height == 2


def test_a_run_gives_its_results(finished) -> None:
    found = gf.run(
        sample=dict(finished.config.sample),
        models=["logreg-tfidf", "svm-title"],
        explore={"of": "clean"},
        experiment="test",
    )
    finished.is_last_again()
    assert set(found.leaderboard["model"]) == {"logreg-tfidf", "svm-title"}
    assert found.best == found.leaderboard["model"][0]
    assert found.report == finished.paths.results / "report.html"
    assert found.report.is_file()
    assert found.best in found.outcome
    assert "leaderboard" not in repr(found)
    before = {path: path.stat().st_mtime_ns for path in found.data_dir.rglob("*")}
    mine = {
        "mine": make_pipeline(TfidfVectorizer(), OneVsRestClassifier(LogisticRegression())),
        "margins": make_pipeline(TfidfVectorizer(), OneVsRestClassifier(LinearSVC())),
        "each": make_pipeline(TfidfVectorizer(), MultiOutputClassifier(LogisticRegression())),
        "ours": gf.make_model("logreg-tfidf"),
    }
    compared = gf.compare(found, mine)
    assert set(compared["model"]) == {*mine, "logreg-tfidf", "svm-title"}
    assert before == {path: path.stat().st_mtime_ns for path in found.data_dir.rglob("*")}
    by_name = {row["model"]: row for row in compared.iter_rows(named=True)}
    assert (
        by_name["ours"]["test_jaccard"] == by_name["logreg-tfidf"]["test_jaccard"]
    )  # the same model on the same split
    assert by_name["mine"]["test_jaccard_low"] < by_name["mine"]["test_jaccard"] < by_name["mine"]["test_jaccard_high"]
    with pytest.raises(ConfigError, match=r"^modles: .*"):
        gf.run(modles=["svm-title"])
    with pytest.raises(ConfigError, match="svm-title: the run has a model of that name"):
        gf.compare(found, {"svm-title": mine["mine"]})
    with pytest.raises(DataError, match=r"odd: expected finite scores of shape \(25, \d+\), not \(25,\)"):
        gf.compare(found, {"odd": Odd()})
