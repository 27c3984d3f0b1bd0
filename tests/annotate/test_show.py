import os
import subprocess
import sys

import pytest

from tasks.annotate.conllu import format_document, main
from tasks.core.language import annotator
from tasks.core.settings import DataPaths


@pytest.fixture(autouse=True)
def corpus(paths: DataPaths) -> None:
    paths.conllu.parent.mkdir(parents=True)
    (sentences,) = annotator().sentences(["Two wolves can't sleep. Why?"])
    paths.conllu.write_text(format_document("tt7", ["Drama", "War"], sentences), encoding="utf-8")


def test_show_prints_sentences_tokens_and_lemmas(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "tt7"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        'tt7  ["Drama", "War"]',
        "",
        "Two wolves can't sleep.",
        "   1  Two     two",
        "   2  wolves  wolf",
        "   3  ca      can",
        "   4  n't     not",
        "   5  sleep   sleep",
        "   6  .       .",
        "",
        "Why?",
        "   1  Why  why",
        "   2  ?    ?",
    ]


def test_an_unknown_movie_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "tt8"]) == 1
    assert "no sentence of 'tt8'" in capsys.readouterr().err


def test_a_missing_corpus_is_an_error(paths: DataPaths, capsys: pytest.CaptureFixture[str]) -> None:
    paths.conllu.unlink()
    assert main(["show", "tt7"]) == 1
    assert "run the annotation stage" in capsys.readouterr().err


def test_a_damaged_corpus_is_an_error(paths: DataPaths, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = paths.conllu.read_text(encoding="utf-8")
    paths.conllu.write_text(corpus.replace("1\tTwo", "one\tTwo").replace("# text = Why?\n", ""), encoding="utf-8")
    assert main(["show", "tt7"]) == 1
    assert "the sentences of 'tt7' are not valid CoNLL-U" in capsys.readouterr().err
    paths.conllu.write_text(corpus.replace("# text = Why?\n", ""), encoding="utf-8")
    assert main(["show", "tt7"]) == 0


def test_a_sentence_may_have_ranges_or_no_token(paths: DataPaths, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = paths.conllu.read_text(encoding="utf-8")
    ranged = corpus.replace("3\tca", "3-4\tcan't\t_\t_\t_\t_\t_\t_\t_\t_\n3\tca").replace("1\tWhy", "# 1\tWhy")
    paths.conllu.write_text(ranged.replace("2\t?", "# 2\t?"), encoding="utf-8")
    assert main(["show", "tt7"]) == 0
    assert " 3-4  can't" in capsys.readouterr().out


def test_another_corpus_can_be_named(paths: DataPaths, capsys: pytest.CaptureFixture[str]) -> None:
    other = paths.conllu.rename(paths.conllu.with_name("other.conllu"))
    assert main(["show", "tt7", "--corpus", str(other)]) == 0
    assert "Why?" in capsys.readouterr().out


def test_it_runs_as_a_module() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "tasks.annotate.conllu", "show", "tt7"], capture_output=True, check=True, text=True
    )
    assert "wolf" in shown.stdout


def test_it_ends_quietly_when_nobody_reads_on() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "tasks.annotate.conllu", "show", "tt7"]
    shown = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, check=False, text=True)
    os.close(writer)
    assert (shown.returncode, shown.stderr) == (0, "")
