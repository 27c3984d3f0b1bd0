"""Reading files of word vectors: as gensim reads them, and what is refused."""

import gzip

import numpy as np
import pytest
from gensim.models import KeyedVectors
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.errors import DataError
from tasks.models.word_vectors import read_vectors, read_vectors_of

WORDS = ["the", "ghost", "élan", "of", "town", "Town"]


class EveryWord:
    def __contains__(self, word):
        return True


def read_all(file):
    return {word.decode(): vector for word, vector in read_vectors(file, EveryWord())}


def written(tmp_path, content):
    file = tmp_path / "vectors"
    file.write_bytes(content)
    return file


@pytest.fixture(params=[2, 300])
def theirs(request):
    vectors = KeyedVectors(request.param)
    vectors.add_vectors(WORDS, np.random.default_rng(1).normal(0, 0.3, (len(WORDS), request.param)).astype(np.float32))
    return vectors


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("form", ["text", "binary", "glove"])
def test_every_form_reads_as_gensim_does(theirs, form, zipped, tmp_path):
    file = tmp_path / "whatever.name"
    theirs.save_word2vec_format(file, binary=form == "binary")
    expected = KeyedVectors.load_word2vec_format(file, binary=form == "binary")
    if form == "glove":
        file.write_bytes(file.read_bytes().partition(b"\n")[2])
    if zipped:
        file.write_bytes(gzip.compress(file.read_bytes()))
    found = read_all(file)
    assert list(found) == expected.index_to_key
    np.testing.assert_array_equal(np.stack(list(found.values())), expected.vectors)


def test_forms_of_the_original_tools_are_read(tmp_path):
    # word2vec.c ends text lines with a space and binary rows with a line feed
    text = written(tmp_path, b"2 2\n</s> 0.500000 -1.000000 \nghost 1.5 2 \n\n")
    assert {word: vector.tolist() for word, vector in read_all(text).items()} == {"</s>": [0.5, -1], "ghost": [1.5, 2]}
    rows = np.array([[0.5, -1], [1.5, 2]], "<f4")
    binary = written(tmp_path, b"2 2\n</s> " + rows[0].tobytes() + b"\nghost " + rows[1].tobytes() + b"\n")
    assert {word: vector.tolist() for word, vector in read_all(binary).items()} == {
        "</s>": [0.5, -1],
        "ghost": [1.5, 2],
    }


def test_words_with_spaces_inside_are_skipped(tmp_path):
    assert list(read_all(written(tmp_path, b"a 1 2\n. . . 3 4\nat name@domain.com 5 6\nb 7 8\n"))) == ["a", "b"]


def test_a_large_file_streams_through(tmp_path):
    rows = 20_000
    vectors = np.random.default_rng(1).normal(size=(rows, 50)).astype("<f4")
    content = b"".join(b"w%d " % row + vectors[row].tobytes() for row in range(rows))
    file = written(tmp_path, b"%d 50\n" % rows + content)  # 4 MB: several blocks
    assert [(word, vector.tolist()) for word, vector in read_vectors(file, {b"w0", b"w12345", b"w19999"})] == [
        (b"w%d" % row, vectors[row].tolist()) for row in (0, 12_345, 19_999)
    ]


BINARY_ROW = np.array([0.5, -1], "<f4").tobytes()


DAMAGED = {
    "empty": (b"", "line 1 should have"),
    "page": (b"<html><body>Not found</body></html>\n", "not a file of word vectors.*begins b'<html>"),
    "picture": (b"\x89PNG\r\n\x1a\n\x00\x00", "not a file of word vectors"),
    "tabs": (b"word\t0.1\t0.2\n", "single spaces"),
    "no rows": (b"0 0\n", "not a file of word vectors"),
    "too few": (b"a 1 2\nb 1\n", "line 2: 1 numbers after the word, expected 2"),
    "too many": (b"a 1 2\nb 1 2 3\n", "line 2: 3 numbers after the word, expected 2"),
    "too many after a header": (b"2 2\na 1 2\nb 1 2 3\n", "line 3: 3 numbers after the word, expected 2"),
    "no number": (b"a 1 2\nb 1 x\n", r"line 2: could not convert.*expected 2 numbers"),
    "nan": (b"a 1 2\nb 1 nan\n", "line 2: expected numbers between.*found NaN"),
    "too large": (b"a 1 2\nb 1 1e300\n", "line 2: expected numbers between"),
    "fewer rows than promised": (b"3 2\na 1 2\nb 1 2\n", "states 3 words in line 1 but has 2"),
    "more rows than promised": (b"1 2\na 1 2\nb 1 2\n", "states 1 words in line 1 but has 2"),
    "endless line": (b"a 1 2\nb " + b"1" * (1 << 20), "line 2: longer than"),
    "truncated binary": (
        b"2 2\na " + BINARY_ROW + b"b " + BINARY_ROW[:-1],
        "word 2 of 2: expected a word, a space and 8 bytes",
    ),
    "more binary rows than promised": (b"1 2\na " + BINARY_ROW + b"b " + BINARY_ROW, "continues after the 1 words"),
    "binary nan": (b"1 2\na " + np.array([1, np.nan], "<f4").tobytes(), "word 1: expected numbers.*found NaN"),
    "endless binary word": (b"2 2\na " + BINARY_ROW + b"b" * 9999, "word 2 of 2: expected a word"),
    "truncated gzip": (gzip.compress(b"a 1 2\nb 1 2\n")[:-9], "cannot be read"),
    "not gzip": (b"\x1f\x8b but not gzip", "cannot be read"),
}


@pytest.mark.parametrize(("content", "message"), DAMAGED.values(), ids=DAMAGED)
def test_damage_is_told_with_file_and_place(content, message, tmp_path):
    file = written(tmp_path, content)
    with pytest.raises(DataError, match=message) as caught:
        read_all(file)
    assert str(file) in str(caught.value)


def test_missing_file_and_folder_are_refused(tmp_path):
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(DataError, match=r"cannot be read.*check the path"):
            read_all(path)


def test_no_word_in_common_is_refused(tmp_path):
    with pytest.raises(DataError, match="none of the 2 words of the train documents"):
        read_vectors_of({"Geist", "haus"}, written(tmp_path, b"ghost 1 2\nhouse 3 4\n"))


def test_the_first_of_equal_words_counts_and_the_others_are_told(tmp_path, caplog):
    words, vectors = read_vectors_of({"ghost"}, written(tmp_path, b"ghost 1 2\nghost 3 4\n"))
    assert words == ["ghost"]
    assert vectors.tolist() == [[1, 2]]
    assert "1 repeated words ignored" in caplog.text


HEADERS = st.sampled_from([b"", b"2 3\n", b"1 1\n", b"3 2\n", b"word 0.5 0.25 1\n", b"\x1f\x8b"])


@given(HEADERS, st.binary(max_size=200), st.sampled_from([lambda content: content, gzip.compress]))
def test_any_bytes_are_read_or_refused(tmp_path_factory, header, noise, pack):
    file = tmp_path_factory.mktemp("noise") / "vectors"
    file.write_bytes(pack(header + noise))
    try:
        found = list(read_vectors(file, EveryWord()))
    except DataError:
        return
    assert all(np.isfinite(vector).all() for _, vector in found)
    assert len({vector.shape for _, vector in found}) <= 1
