import numpy as np
import polars as pl
import pytest

from tasks.models.explain.attribution import explain
from tasks.models.inputs import BOUNDS, gather, own_field_names, read_fields
from tasks.models.linear import LogisticRegression
from tasks.models.multilabel import NearestNeighbours
from tasks.models.pipeline import GenreModel
from tasks.models.served import ServedClassifier
from tasks.models.spec import ModelSpec
from tasks.models.vectorizers import BagOfWords, SideFields

N = 40
MOOD = ["low", "high"]
MOVIES = pl.DataFrame(
    {
        "movie_id": [f"m{number:02}" for number in range(N)],
        "movie_name": [""] * N,
        "description": ["A text that says nothing."] * N,
        "genres": [["glad" if number % 2 else "sad"] for number in range(N)],
        "own_fields": [
            [f"mood={MOOD[number % 2]}", f"hours={3 + number % 2 * 20 + number / 100}"] for number in range(N)
        ],
    }
)
RAW = pl.DataFrame({"description": ["?", "?"], "mood": ["high", " low "], "hours": ["23.7", ""]})


def fitted(classifier, *fields):
    representations = (BagOfWords(min_movies=1), SideFields(fields=fields or ("own",)))
    spec = ModelSpec(name="m", representations=representations, classifier=classifier)
    return GenreModel(spec, ("glad", "sad"), 1).fit(MOVIES)


def range_of(number):
    """The range of an own field's number."""
    return read_fields(pl.DataFrame({"own_fields": [[f"x={float(number)}"]]}), ("own",))[0].splitlines()[1]


@pytest.mark.parametrize("bound", BOUNDS[1:])
def test_a_bound_belongs_to_the_range_above_it(bound):
    below = np.nextafter(bound, -np.inf)
    assert range_of(bound) != range_of(below)
    assert range_of(np.nextafter(bound, np.inf)) == range_of(bound)


def test_a_number_is_read_as_it_is_and_as_its_range():
    movies = pl.DataFrame({"own_fields": [["mood=low", "hours=3.5"], [], None, ["code=nan", "code=1e999"]]})
    lines = [text.splitlines() for text in read_fields(movies, ("own",))]
    assert lines == [["mood=low", "hours=3.5", "hours=2 to 5"], [], [], ["code=nan", "code=1e999"]]


def test_own_fields_stand_beside_those_of_listings():
    movies = pl.DataFrame({"year": [1999], "own_fields": [["mood=low"]]})
    assert read_fields(movies, ("decade", "own"))[0].splitlines() == ["decade=1990", "mood=low"]


def test_a_table_to_classify_has_them_as_columns():
    gathered = gather(RAW, own_field_names(MOVIES))
    assert gathered["own_fields"].to_list() == [["hours=23.7", "mood=high"], ["mood=low"]]
    assert gather(RAW, ("weight",)).equals(RAW)  # what is not there says nothing
    assert gather(gathered, ("mood",)).equals(gathered)


def test_a_model_finds_its_columns_again_after_it_was_stored(tmp_path):
    model = fitted(LogisticRegression(C=10))
    assert model.own_fields == ("hours", "mood")
    model.save(tmp_path)
    again = GenreModel.load(tmp_path)
    scores = again.scores(RAW)
    np.testing.assert_array_equal(scores, model.scores(RAW))
    assert scores[0, 0] > 0.8
    assert scores[1, 0] < 0.2
    assert np.ptp(again.scores(RAW.select("description"))[:, 0]) == 0


def test_a_model_of_other_fields_has_none():
    movies = MOVIES.with_columns(year=pl.lit(1999))
    representations = (BagOfWords(min_movies=1), SideFields(fields=("year",)))
    spec = ModelSpec(name="m", representations=representations, classifier=LogisticRegression())
    assert GenreModel(spec, ("glad", "sad"), 1).fit(movies).own_fields == ()


@pytest.mark.parametrize("classifier", [LogisticRegression(C=10), NearestNeighbours(k=3)])
def test_explanations_name_them(classifier):
    movies, (first, _) = explain(fitted(classifier), RAW, [[0], [0]])
    pieces = {(piece.source, piece.text): at for at, piece in enumerate(movies.pieces[0])}
    assert {("mood", "high"), ("hours", "23.7")} <= set(pieces)
    added = first.contributions[:, 0]
    assert added[pieces["mood", "high"]] > 0
    assert added[pieces["hours", "23.7"]] > 0  # through the range that it is in
    assert first.base[0] + added.sum() == pytest.approx(first.value[0], abs=1e-4)


def test_a_served_model_takes_them_from_pandas():
    pandas_rows = RAW.to_pandas().assign(hours=[23.7, None], stranger=1)

    class Recorder:
        model = fitted(LogisticRegression(C=10))

        def predict(self, movies, _rule):
            self.seen = movies
            return pl.DataFrame({"genres": ["", ""]})

    served = ServedClassifier(recorder := Recorder())
    served.predict(pandas_rows)
    assert recorder.seen.columns == ["description", "hours", "mood"]
