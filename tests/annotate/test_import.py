import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.annotate.conllu import find_documents, format_document, read_document
from tasks.annotate.corpus import AnnotateConfig, annotate_movies, extract_movies, import_conllu
from tasks.annotate.task import extract, import_corpus
from tasks.core import schema
from tasks.core.errors import DataError
from tasks.core.language import Token, annotator, normalise_text
from tasks.core.settings import DataPaths
from tasks.stage import recorded_config

# As the earlier system wrote it: one 0 or 1 per genre, character offsets, ranges, two blank lines between documents.
EARLIER = """\
# movie_id = tt2
# genre = [0, 1, 1]
# text = She won't go.
# sent_id = 0
1\tShe\tshe\tPRON\tPRP\tCase=Nom\t0\t_\t_\tstart_char=0|end_char=3
2-3\twon't\t_\t_\t_\t_\t_\t_\t_\tstart_char=4|end_char=9
2\two\twill\tAUX\tMD\t_\t1\t_\t_\t_
3\tn't\tnot\tPART\tRB\t_\t2\t_\t_\t_
4\tgo\tgo\tVERB\tVB\t_\t3\t_\t_\tstart_char=10|end_char=12
5\t.\t.\tPUNCT\t.\t_\t4\t_\t_\tstart_char=12|end_char=13

# text = "Why?"
# sent_id = 1
1\t"\t_\tPUNCT\t``\t_\t0\t_\t_\tSpaceAfter=No
2\tWhy\twhy\tADV\tWRB\t_\t1\t_\t_\tSpaceAfter=No
2.1\tgo\tgo\tVERB\t_\t_\t_\t_\t_\t_
3\t?\t?\tPUNCT\t.\t_\t2\t_\t_\tSpaceAfter=No
4\t"\t"\tPUNCT\t''\t_\t3\t_\t_\t_


# movie_id = tt1
# genre = [1, 0, 0]
# text = Fog.
# sent_id = 0
1\tFog\tfog\tNOUN\tNN\t_\t0\t_\t_\tSpaceAfter=No
2\t.\t.\tPUNCT\t.\t_\t1\t_\t_\t_


"""


@pytest.fixture
def corpus(paths: DataPaths) -> Path:
    paths.download.mkdir(parents=True)
    paths.downloaded_genres.write_text('["Crime", "Drama", "War"]')
    path = paths.download / "conllu_data.conllu"
    path.write_text(EARLIER, encoding="utf-8")
    return path


def write_movies(paths: DataPaths, **genres: list[str]) -> None:
    paths.clean.mkdir(parents=True, exist_ok=True)
    ids = sorted(genres)
    columns = {"movie_id": ids, "description": ["x"] * len(ids), "genres": [genres[name] for name in ids]}
    pl.DataFrame(columns).write_parquet(paths.movies)


def test_the_movies_of_a_corpus_come_out_as_a_table(paths: DataPaths, corpus: Path) -> None:
    result = extract_movies(paths, corpus)
    assert result.counts == {"documents": 2, "repeated_documents": 0}
    with paths.corpus_csv.open(newline="", encoding="utf-8") as file:
        assert list(csv.DictReader(file)) == [
            {"movie_id": "tt2", "movie_name": "", "genre": "Drama, War", "description": 'She won\'t go. "Why?"'},
            {"movie_id": "tt1", "movie_name": "", "genre": "Crime", "description": "Fog."},
        ]
    assert extract_movies(paths, corpus).skipped


def test_a_corpus_becomes_the_annotation_of_the_table(
    paths: DataPaths, corpus: Path, read_corpus: Callable[[Path], list[Any]]
) -> None:
    write_movies(paths, tt1=["Crime"], tt2=["Drama", "War"], tt3=["Drama"])
    result = import_conllu(paths, corpus)
    assert result.counts == {
        "documents": 3,
        "sentences": 3,
        "tokens": 11,
        "empty_documents": 1,
        "unknown_documents": 0,
        "repeated_documents": 0,
    }
    table = pl.read_parquet(paths.tokens)
    assert table.schema == schema.TOKENS
    assert table["movie_id"].to_list() == ["tt1", "tt2", "tt3"]
    assert table["genres"].to_list() == [["Crime"], ["Drama", "War"], ["Drama"]]
    assert table["lemmas"].to_list()[1] == ["she", "will", "not", "go", ".", '"', "why", "?", '"']
    assert table["n_sentences"].to_list() == [1, 2, 0]
    documents = {document.movie_id: document for document in read_corpus(paths.conllu)}
    assert documents["tt2"].text == 'She won\'t go. "Why?"'
    assert documents["tt2"].genres == ["Drama", "War"]
    assert documents["tt2"].sentences[0][0] == Token("She", "she", True, "PRON", "PRP", "Case=Nom")
    assert [(name, document.forms) for name, document in documents.items()] == [
        (name, forms) for name, forms in zip(table["movie_id"], table["tokens"].to_list(), strict=True) if forms
    ]


def test_import_and_annotation_replace_each_other(paths: DataPaths, corpus: Path) -> None:
    write_movies(paths, tt1=["Crime"], tt2=["War"])
    annotate_movies(paths, AnnotateConfig(), 1)
    annotated = paths.conllu.read_bytes(), paths.tokens.read_bytes()
    assert not import_conllu(paths, corpus).skipped
    assert import_conllu(paths, corpus).skipped
    assert recorded_config(paths.tokens.parent, "annotate") == {"pipeline": "imported"}
    assert not annotate_movies(paths, AnnotateConfig(), 1).skipped
    assert (paths.conllu.read_bytes(), paths.tokens.read_bytes()) == annotated


def test_our_own_corpus_comes_back_byte_by_byte(paths: DataPaths, tmp_path: Path) -> None:
    write_movies(paths, tt1=["Crime"], tt2=["Drama", "War"])
    annotate_movies(paths, AnnotateConfig(), 1)
    before = paths.conllu.read_bytes(), paths.tokens.read_bytes()
    ours = tmp_path / "ours.conllu"
    ours.write_bytes(before[0])
    import_conllu(paths, ours)
    assert (paths.conllu.read_bytes(), paths.tokens.read_bytes()) == before


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(min_size=1, max_size=60))
def test_any_text_that_we_write_reads_the_same(tmp_path: Path, text: str) -> None:
    sentences = next(annotator().sentences([normalise_text(text)]))
    path = tmp_path / "ours.conllu"
    path.write_text(format_document("tt1", ["War"], sentences), encoding="utf-8", newline="\n")
    if not sentences:
        return
    places, _ = find_documents(path)
    document = read_document(path, places["tt1"])
    assert document.sentences == sentences
    assert document.genres == '["War"]'


def test_comments_may_repeat_line_ends_differ_and_documents_recur(paths: DataPaths, corpus: Path) -> None:
    repeated = EARLIER.replace('# text = "Why?"', '# movie_id = tt2\n# text = "Why?"') + EARLIER
    corpus.write_bytes(repeated.replace("\n", "\r\n").encode())
    write_movies(paths, tt2=["War"])
    counts = import_conllu(paths, corpus).counts
    assert (counts["sentences"], counts["repeated_documents"], counts["unknown_documents"]) == (2, 2, 1)


def test_words_without_letters_and_without_texts_are_put_up_with(corpus: Path) -> None:
    rest = "_\t_\t_\t_\t_\t_\t_"
    words = (("A", "a"), ("\u200b", "_"), ("bell", "bell"))
    lines = [f"{number}\t{form}\t{lemma}\t{rest}" for number, (form, lemma) in enumerate(words, 1)]
    corpus.write_text("\n".join(["# movie_id = tt1", *lines, ""]), encoding="utf-8")
    places, _ = find_documents(corpus)
    document = read_document(corpus, places["tt1"])
    assert (document.description, document.genres) == ("A bell", "")


def test_a_word_without_letters_at_the_end_of_a_range_ends_it(corpus: Path) -> None:
    rest = "_\t_\t_\t_\t_\t_\t_\t_"
    words = (("1", "We"), ("2-3", "go\u200b"), ("2", "go"), ("3", "\u200b"), ("4", "out"), ("5", "now"))
    lines = [f"{number}\t{form}\t{rest}" for number, form in words]
    corpus.write_text("\n".join(["# movie_id = tt1", *lines, ""]), encoding="utf-8")
    places, _ = find_documents(corpus)
    assert read_document(corpus, places["tt1"]).description == "We go out now"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "has no document"),
        ("1\tFog\tfog\n", "has no document"),
        ("# movie_id = tt1\n# genre = [1 0 0]\n\n1\tFog\tfog\n", r"line 4: expected 10 tab-separated fields, found"),
        ("# movie_id = tt1\n# genre = [1 0]\n", r"line 1: the genres '\[1 0\]' cannot be read: 2 numbers"),
        (b"# movie_id = \xff\n", "a movie id that is not UTF-8"),
    ],
)
def test_a_damaged_corpus_is_refused(paths: DataPaths, corpus: Path, content: str | bytes, said: str) -> None:
    corpus.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=said):
        extract_movies(paths, corpus)


def test_a_corpus_of_other_movies_is_refused(paths: DataPaths, corpus: Path) -> None:
    write_movies(paths, tt8=["War"])
    with pytest.raises(DataError, match=r"has no movie of .*movies\.parquet"):
        import_conllu(paths, corpus)


def test_the_tasks_say_what_is_missing_and_work_on_the_configured_folder(paths: DataPaths, corpus: Path) -> None:
    with pytest.raises(DataError, match=r"none\.conllu does not exist"):
        extract.fn(paths.root / "none.conllu")
    assert extract.fn(corpus).counts["documents"] == 2
    with pytest.raises(DataError, match=r"needs .*movies\.parquet"):
        import_corpus.fn(corpus)
    write_movies(paths, tt1=["Crime"])
    assert import_corpus.fn(corpus).counts["documents"] == 1
