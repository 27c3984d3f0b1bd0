"""`make serve` over real HTTP: the champion's answers, and what is said of requests that are wrong."""

import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import polars as pl
import pytest

from tasks.core.settings import PROJECT_ROOT
from tasks.models.genre_classifier import GenreClassifier

pytestmark = [pytest.mark.services, pytest.mark.filterwarnings("default")]

PLOT = "ghosts in a haunted house, terrified people"


@pytest.fixture(scope="module")
def server(start) -> Iterator[httpx.Client]:
    """A client of what `make serve` starts, with the test's own interpreter."""
    command = ["make", "--silent", "--old-file=install", "serve"]  # that is, installed already
    address = start(lambda port: [*command, f"BIN={Path(sys.executable).parent}", f"SERVE_PORT={port}"], "/ping")
    with httpx.Client(base_url=address, trust_env=False, timeout=300) as client:
        yield client


@pytest.fixture(scope="module")
def champion(registry) -> GenreClassifier:
    """The model that is served, in this process."""
    return GenreClassifier.load(registry.folders["logreg-words"])


def records(*rows: dict) -> dict:
    return {"dataframe_records": list(rows)}


def ask(server: httpx.Client, content: object, content_type: str = "application/json") -> httpx.Response:
    body = content if isinstance(content, str | bytes) else json.dumps(content)
    return server.post("/invocations", content=body, headers={"content-type": content_type})


def expected(champion: GenreClassifier, descriptions: list[str | None], rule: str | None = None) -> list[dict]:
    return champion.predict(pl.DataFrame({"description": descriptions}), rule).to_dicts()


def predictions(answer: httpx.Response) -> list[dict]:
    assert answer.status_code == 200, answer.text[:2000]
    return answer.json()["predictions"]


def assert_refused(answer: httpx.Response, reason: str) -> None:
    """Check that a request is refused as wrong, with the reason, and with nothing about the machine."""
    assert answer.status_code == 400
    assert reason in answer.json()["message"]
    assert "stack_trace" not in answer.json()
    assert str(PROJECT_ROOT) not in answer.text


def test_one_row(server, champion):
    assert predictions(ask(server, records({"description": PLOT}))) == expected(champion, [PLOT])


def test_a_thousand_rows_keep_their_order(server, champion):
    texts = [f"{PLOT} {'robot ' * (row % 7)}{row}" for row in range(1000)]
    assert predictions(ask(server, records(*({"description": text} for text in texts)))) == expected(champion, texts)


def test_other_columns_are_ignored_and_null_counts_as_empty(server, champion):
    rows = [{"description": PLOT, "stars": ["A", {}]}, {"description": None}, {"description": ""}]
    assert predictions(ask(server, records(*rows))) == expected(champion, [PLOT, "", ""])


def test_no_rows_get_no_predictions(server):
    assert predictions(ask(server, {"dataframe_split": {"columns": ["description"], "data": []}})) == []


def test_a_rule_is_chosen_by_params(server, champion):
    body = records({"description": PLOT}) | {"params": {"rule": "top=2"}}
    assert predictions(ask(server, body)) == expected(champion, [PLOT], "top=2")


def test_csv(server, champion):
    assert predictions(ask(server, f'description\n"{PLOT}"\n', "text/csv")) == expected(champion, [PLOT])


WRONG = {
    "malformed JSON": ('{"dataframe_records": [', "valid JSON"),
    "not UTF-8": (b'{"dataframe_records": [{"description": "\xe9"}]}', "valid JSON"),
    "no body": ("", "valid JSON"),
    "no table": ({"description": PLOT}, "exactly one of the input fields"),
    "no rows and no columns": ({"dataframe_records": []}, "missing inputs ['description']"),
    "no description": (records({"movie_name": "A", "plot": "B"}), "missing inputs ['description']"),
    "a number": (
        records({"description": PLOT}, {"description": 5}),
        "description, row 2: expected a text or null",
    ),
    "a list": (records({"description": ["a", "b"]}), "description, row 1: expected a text or null"),
    "an object": (records({"description": {"a": 1}}), "description, row 1: expected a text or null"),
    "a boolean": (records({"description": True}), "description, row 1: expected a text or null"),
    "a list of stars": (records({"description": PLOT, "star": ["A"]}), "star, row 1: expected a text, a whole number"),
    "half a year": (records({"description": PLOT, "year": 1999.5}), "year, row 1: expected a text, a whole number"),
    "half a character": ('{"dataframe_records": [{"description": "\\ud800"}]}', "surrogates not allowed"),
    "an unknown rule": (records({"description": PLOT}) | {"params": {"rule": "dice"}}, "no rule is named 'dice'"),
    "an unknown precision": (records({"description": PLOT}) | {"params": {"precision": "int3"}}, "no precision 'int3'"),
    "a rule that is a number": (records({"description": PLOT}) | {"params": {"rule": 3}}, "Invalid parameters"),
    "params that are a text": (records({"description": PLOT}) | {"params": "top=2"}, "must be a dictionary"),
}


@pytest.mark.parametrize(("body", "reason"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_refused_with_the_reason(server, body, reason):
    assert_refused(ask(server, body), reason)


def test_another_content_type_is_refused(server):
    answer = ask(server, records({"description": PLOT}), "text/plain")
    assert answer.status_code == 415
    assert "application/json" in answer.text


def test_ten_megabytes_of_text_are_answered(server, champion):
    text = f"{PLOT} " * (10_000_000 // len(PLOT))
    assert predictions(ask(server, records({"description": text}))) == expected(champion, [text])
    assert predictions(ask(server, records({"description": PLOT}))) == expected(champion, [PLOT])


def test_eight_clients_are_all_answered_each_with_its_own(server, champion):
    texts = [f"{PLOT} {'robot ' * (number % 9)}{'mother ' * (number % 5)}" for number in range(200)]
    rules = [("expected-f1", "top=1", "fixed")[number % 3] for number in range(200)]

    def request(number: int) -> list[dict]:
        return predictions(ask(server, records({"description": texts[number]}) | {"params": {"rule": rules[number]}}))

    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(request, range(200)))
    assert answers == [expected(champion, [text], rule) for text, rule in zip(texts, rules, strict=True)]
