import polars as pl
import pytest

from tasks.explore.config import ExploreConfig
from tasks.explore.figures import EXHIBITS, exhibit_movies, say


def exhibit(genres: list[list[str]], years: list[int | None]) -> dict[str, str]:
    """Return the sentence of each exhibit."""
    schema = {"genres": pl.List(pl.String), "year": pl.Int32(), "description": pl.String()}
    rows = {"genres": genres, "year": years, "description": [f"A film of {len(each)} kinds." for each in genres]}
    exhibits = exhibit_movies(pl.DataFrame(rows, schema=schema), ExploreConfig())
    assert [each.name for each in exhibits] == list(EXHIBITS)
    return {each.name: each.sentence for each in exhibits}


@pytest.fixture(scope="module")
def sentences() -> dict[str, str]:
    early, late = [["War", "Drama"]] * 100, [["Drama"]] * 90 + [["War"]] * 10
    return exhibit([*early, *late, []], [1944] * 100 + [1999] * 100 + [None])


def test_each_sentence_says_what_its_picture_shows(sentences: dict[str, str]) -> None:
    assert sentences["genres"] == (
        "Drama is the most frequent of 2 genres (95% of the movies), War the rarest (110). Movies with a genre have "
        "1.50 on average; 1 have none."
    )
    assert sentences["together"] == "Drama and War occur together most often, in 100 movies; 0 of 1 pairs never do."
    assert sentences["together_share"] == (
        "The largest share: 91% of War movies are also Drama; 53% of Drama movies are also War."
    )
    assert sentences["decades"] == (
        "200 of 201 movies have a year. War changes most: its share falls from 100% in the 1940s to 10% in the 1990s."
    )


def test_too_little_data_is_said_so() -> None:
    sentences = exhibit([["War"], []], [1944, None])
    assert sentences["together"] == "No two genres occur together."
    assert "No genre with 20 or more movies" in sentences["together_share"]
    assert "No two decades" in sentences["decades"]
    assert "Too few descriptions" in sentences["words"]


def test_words_are_counted_in_a_fixed_sample_of_many_movies() -> None:
    movies = pl.DataFrame(
        {
            "genres": [["War"], ["Drama"]] * 200,
            "year": [1944, 1999] * 200,
            "description": ["The army fights", "The lovers part"] * 200,
        }
    )
    tables = [exhibit_movies(movies, ExploreConfig(cloud_movies=100))[-1].table for _ in range(2)]
    assert set(tables[0]["word"]) == {"army", "fights", "lovers", "part"}
    assert (tables[0]["movies"] < 100).all()
    assert tables[0].equals(tables[1])


def test_movies_with_one_text_are_counted() -> None:
    assert "them. 5 near-duplicates in 2 groups of up to 3 movies; a group" in say("clean", movies=8, groups=[3, 2])
    assert say("clean", movies=8, groups=[]).endswith("No two have nearly the same description.")
