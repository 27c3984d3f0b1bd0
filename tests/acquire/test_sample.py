import csv
import re
import tracemalloc
import unicodedata
from collections import defaultdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import jaccard_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import MultinomialNB
from sklearn.preprocessing import MultiLabelBinarizer

from tasks.acquire.config import SampleConfig
from tasks.acquire.sample import GENRE_FILES, ID_PRIME, ID_STEP, generate_movies, sample_words, write_sample
from tasks.core.schema import EXCLUDED_GENRES, GENRES, RAW_COLUMNS

Movies = dict[str, list[dict[str, str]]]  # the rows of each id

WORDS = sample_words()
PLACEHOLDERS = re.compile(
    r"add a plot summary|\bunder wrap|plot.*unknown|plot.*undisclosed|in development|^no plot|\btba\b|^coming soon"
    r"|(^|(plot|story).*)not (available|disclosed)|(plot|synopsis).*unavailable",
    re.IGNORECASE,
)
LANGUAGE = re.compile(
    "|".join(
        re.escape(text).replace(r"\{name\}", ".+").replace(r"\{year\}", r"\d+")
        for text in WORDS.descriptions["other_language"]
    )
)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("sample")
    return folder, write_sample(folder, 6000, 42069)


@pytest.fixture(scope="module")
def movies(sample: tuple[Path, dict[str, Any]]) -> Movies:
    rows_by_id: Movies = defaultdict(list)
    for name in GENRE_FILES.values():
        with (sample[0] / name).open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, strict=True):
                rows_by_id[row["movie_id"]].append(row | {"file": name})
    return rows_by_id


def test_the_16_files_have_the_14_columns_of_the_real_set(sample: tuple[Path, dict[str, Any]]) -> None:
    folder, counts = sample
    assert sorted(path.name for path in folder.iterdir()) == sorted(GENRE_FILES.values())
    for name, n_rows in counts["rows_by_file"].items():
        with (folder / name).open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        assert tuple(header) == RAW_COLUMNS
        assert len(rows) == n_rows
        assert {len(row) for row in rows} == {14}
    assert counts["rows"] == sum(counts["rows_by_file"].values())


def test_a_movie_is_listed_under_each_of_its_genres(movies: Movies) -> None:
    assert len(movies) == 6000
    for rows in movies.values():
        assert {row["file"] for row in rows} == {
            GENRE_FILES[genre] for row in rows for genre in row["genre"].split(", ") if genre in GENRE_FILES
        } or rows[0]["genre"] == ""


def test_genres_are_as_frequent_as_said(movies: Movies) -> None:
    sets = [{genre for row in rows for genre in row["genre"].split(", ")} for rows in movies.values()]
    for genre, share in WORDS.genre_shares.items():
        found = sum(genre in genres for genres in sets) / len(sets)
        assert found == pytest.approx(share, abs=4 * (share / 6000) ** 0.5), genre


def test_fields_have_the_form_of_the_real_set(movies: Movies) -> None:
    form = {
        "movie_id": r"tt\d{7}",
        "year": r"|\d{4}|I{1,3}",
        "runtime": r"|\d{2,3} min|\d,\d{3} min",
        "rating": r"|10\.0|\d\.\d",
        "votes": r"|\d+\.0",
        "gross(in $)": r"|\d+\.0",
        "director": r"|[^,\n]+(, \n[^,\n]+)*",
        "star": r"|[^,\n]+(, \n[^,\n]+)*",
        "star_id": r"|/name/nm\d{7}/(,/name/nm\d{7}/)*",
        "director_id": r"|/name/nm\d{7}/(,/name/nm\d{7}/)*",
    }
    for rows in movies.values():
        for column, pattern in form.items():
            assert re.fullmatch(pattern, rows[0][column]), (column, rows[0][column])
        assert rows[0]["star"].count("\n") == rows[0]["star_id"].count(",")


def test_all_dirt_is_there_at_its_rate_and_counted(sample: tuple[Path, dict[str, Any]], movies: Movies) -> None:
    counted = sample[1]["flaws"]
    assert count_flaws(movies) == counted
    for kind, rate in WORDS.description_flaws.items():
        assert counted[kind] == pytest.approx(6000 * rate, abs=4 * (6000 * rate) ** 0.5), kind


def test_a_description_is_cut_between_two_words_and_a_dash_stands_inside_a_sentence() -> None:
    described: dict[str, set[str]] = {"see_full_summary": set(), "em_dash_inside": set()}
    for movie in generate_movies(1500, 3):
        for flaw in described.keys() & set(movie.flaws):
            described[flaw].add(movie.rows[0][1][RAW_COLUMNS.index("description")])
    for text in described["see_full_summary"]:
        assert re.fullmatch(r"[A-ZÀ-Þ](?s:.){100,186}\S *\.\.\. {16}See full (summary|synopsis)\u00a0»", text), text
    assert described["em_dash_inside"]
    assert all(re.match(r"\S+ \S+ \S+—\S", text) for text in described["em_dash_inside"])


def count_flaws(movies: Movies) -> dict[str, int]:
    """Count in the written rows, without looking at how they were made."""
    counts: dict[str, int] = defaultdict(int)
    ids_by_text: dict[str, set[str]] = defaultdict(set)
    for movie_id, rows in movies.items():
        for flaw in (*_description_flaws({row["description"] for row in rows}), *_row_flaws(rows)):
            counts[flaw] += 1
        for text in {row["description"] for row in rows if len(row["description"]) > 40}:
            ids_by_text[text].add(movie_id)
    counts["repeated_description"] = sum(
        len(ids) - 1 for text, ids in ids_by_text.items() if not PLACEHOLDERS.search(text) and not LANGUAGE.search(text)
    )
    return dict(sorted(counts.items()))


def _description_flaws(texts: set[str]) -> list[str]:
    if len(texts) > 1:
        return ["different_description"]
    text = next(iter(texts))
    flaws = {
        "add_a_plot": text == "Add a Plot",
        "placeholder": bool(PLACEHOLDERS.search(text)),
        "see_full_summary": bool(re.search(r"\.\.\. {16}See full (summary|synopsis)\u00a0»$", text)),
        "author_signature": bool(re.search(r"—[^—.?]+(@example\.org>)?$", text)),
        "em_dash_inside": bool(re.search(r"—.*[.?]$", text)),
        "html_entity": bool(re.search(r"&(amp|#39|nbsp|hellip);", text)),
        "other_language": bool(LANGUAGE.fullmatch(text)),
        "other_script": any(
            (ord(letter) > 0x24F and unicodedata.category(letter) == "Lo") or "Ͱ" <= letter <= "ӿ" for letter in text
        ),
        "nothing_usable": text in WORDS.descriptions["nothing_usable"],
        "empty_description": text == "",
    }
    return [flaw for flaw, found in flaws.items() if found]


def _row_flaws(rows: list[dict[str, str]]) -> list[str]:
    first = rows[0]
    genres = {row["genre"] for row in rows}
    people = "".join(row["movie_name"] + row["director"] + row["star"] for row in rows)
    flaws = {
        "different_genres": len(genres) > 1,
        "different_name": len({row["movie_name"] for row in rows}) > 1,
        "empty_genre": genres == {""},
        "excluded_genre": any(name in genre for genre in genres for name in EXCLUDED_GENRES),
        "newline_in_director": "\n" in first["director"],
        "newline_in_star": "\n" in first["star"],
        "comma_in_runtime": "," in first["runtime"],
        "roman_year": first["year"] in {"I", "II", "III"},
        "accented_name": any(ord(character) > 127 for character in people),
    }
    empty = ("movie_name", "year", "certificate", "runtime", "rating", "director", "star", "gross(in $)")
    flaws |= {f"empty_{column}": not first[column] for column in empty}
    return [flaw for flaw, found in flaws.items() if found]


def test_same_seed_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    contents = []
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        (tmp_path / name).mkdir()
        write_sample(tmp_path / name, 200, seed)
        contents.append([path.read_bytes() for path in sorted((tmp_path / name).iterdir())])
    assert contents[0] == contents[1] != contents[2]


def test_a_larger_sample_begins_with_the_smaller_one() -> None:
    assert list(generate_movies(30, 5)) == list(islice(generate_movies(3_000_000, 5), 30))


def test_ids_never_repeat_as_steps_go_round_a_prime() -> None:
    assert all(ID_PRIME % divisor for divisor in range(2, int(ID_PRIME**0.5) + 1))
    assert ID_STEP % ID_PRIME
    assert SampleConfig(n_movies=3_000_000).n_movies < ID_PRIME < 10**7


def test_memory_does_not_grow_with_the_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.acquire.sample.BLOCK", 1 << 10)
    peaks = []
    for n_movies in (1000, 1000, 2000):  # the first fills the interpreter's free lists
        tracemalloc.start()
        write_sample(tmp_path, n_movies, 1)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] < peaks[1] + 50_000  # the larger sample has 500,000 bytes more


def test_models_learn_from_it_neither_too_little_nor_too_much() -> None:
    plain = [
        movie.rows[0][1] for movie in generate_movies(4000, 1) if not WORDS.description_flaws.keys() & set(movie.flaws)
    ]
    texts = [row[RAW_COLUMNS.index("description")] for row in plain]
    Y = MultiLabelBinarizer(classes=[*GENRES, *EXCLUDED_GENRES]).fit_transform(
        [row[RAW_COLUMNS.index("genre")].split(", ") if row[5] else [] for row in plain]
    )[:, : len(GENRES)]
    n_train = int(0.8 * len(texts))
    X = TfidfVectorizer(sublinear_tf=True).fit(texts[:n_train]).transform(texts)
    jaccard = []
    for classifier, threshold in ((LogisticRegression(C=4, solver="liblinear"), 0.3), (MultinomialNB(), 0.15)):
        scores = OneVsRestClassifier(classifier).fit(X[:n_train], Y[:n_train]).predict_proba(X[n_train:])
        chosen = scores >= threshold
        chosen[np.arange(len(scores)), scores.argmax(axis=1)] = True
        jaccard.append(jaccard_score(Y[n_train:], chosen, average="samples"))
    assert 0.35 < jaccard[1] < jaccard[0] - 0.05 < 0.70
