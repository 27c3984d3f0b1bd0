"""What each source is asked, and what its answers mean."""

import json
import logging

import pytest

from tasks.acquire.crawl.crawl import run_crawl
from tasks.acquire.crawl.sources import check_access
from tasks.core.errors import ConfigError
from tasks.core.settings import settings

IDS = ("tt0000001", "tt0000002", "tt0000003")
WHOLE = "A ferryman refuses to cross."


def title(movie_id: str, outline: str | None = WHOLE, *plots: str) -> dict[str, object]:
    edges = [{"node": {"plotType": "SUMMARY", "plotText": {"plainText": text}}} for text in plots]
    return {"id": movie_id, "plot": {"plotText": {"plainText": outline}}, "plots": {"edges": edges}}


def graphql(*titles: object, errors: tuple[str, ...] = ()) -> dict[str, object]:
    told: dict[str, object] = {"data": {"titles": list(titles)}}
    return {**told, "errors": [{"message": text} for text in errors]} if errors else told


def errors_only(text: str) -> dict[str, object]:
    return {"errors": [{"message": text}], "data": None}


@pytest.fixture
def ask(campaign):
    """Lack the three ids, answer with one JSON object, and return what is recorded."""

    def ask(source: str, *contents: object, **choices: object) -> dict[str, str]:
        campaign.lack(*IDS)
        campaign.server.script.extend(campaign.server.json(content) for content in contents)
        campaign.run(source, **choices)
        return campaign.states(source)

    return ask


@pytest.mark.parametrize(
    ("told", "states"),
    [
        (graphql(*map(title, IDS)), ["ok", "ok", "ok"]),
        (graphql(*map(title, reversed(IDS))), ["ok", "ok", "ok"]),
        (graphql(*map(title, IDS), title("tt9999999"), title(IDS[0], "Another.")), ["ok", "ok", "ok"]),
        (graphql(title(IDS[0]), title(IDS[2])), ["ok", "not_found", "ok"]),
        (graphql(title(IDS[0]), None, title(IDS[2])), ["ok", "not_found", "ok"]),
        (graphql(title(IDS[0]), None, title(IDS[2]), errors=("internal",)), ["ok", "failed", "ok"]),
        (graphql({"id": IDS[0], "plot": None, "plots": None}, *map(title, IDS[1:])), ["no_plot", "ok", "ok"]),
        (graphql({"id": IDS[0]}, {"id": 7, "plot": "?"}, 5, title(IDS[2])), ["no_plot", "not_found", "ok"]),
        (graphql({"id": IDS[0], "plots": {"edges": [None, {"node": None}]}}), ["no_plot", "not_found", "not_found"]),
        (graphql(title(IDS[0], "A mill and ..."), title(IDS[1]), title(IDS[2])), ["truncated", "ok", "ok"]),
        (graphql(title(IDS[0], "A mill and …", WHOLE), *map(title, IDS[1:])), ["ok", "ok", "ok"]),
        (graphql(title(IDS[0], None, "Add a Plot"), *map(title, IDS[1:])), ["no_plot", "ok", "ok"]),
        (graphql(title(IDS[0], "x" * 40_000), *map(title, IDS[1:])), ["bad_payload", "ok", "ok"]),
    ],
    ids=["all", "reordered", "extra and repeated", "missing", "null node", "data with errors", "null fields",
         "odd nodes", "null edges", "truncated", "next plot is whole", "placeholder", "endless"],
)  # fmt: skip
def test_graphql_answers_are_matched_by_id(ask, campaign, told, states):
    assert ask("imdb_graphql", told) == dict(zip(IDS, states, strict=True))
    assert len(campaign.server.requests) == 1
    assert campaign.server.requests[0].ids == list(IDS)


def test_a_malformed_id_inside_a_batch_is_found_by_halves(campaign):
    bad = IDS[1]

    def answer(request):
        told = errors_only("Variable ids: bad value") if bad in request.ids else graphql(*map(title, request.ids))
        return campaign.server.json(told)

    campaign.lack(*IDS, *(f"tt{number:07}" for number in range(10, 30)))
    campaign.server.answer = answer
    campaign.server.script.append(campaign.server.json({"message": "bad"}, "400 Bad Request"))
    result = campaign.run("imdb_graphql", retries=0)
    states = campaign.states("imdb_graphql")
    assert {movie_id for movie_id, state in states.items() if state != "ok"} == {bad}
    assert states[bad] == "failed"  # unknown words about a single id: the next run tries again
    assert result.stage.counts["plots"] == 22
    assert len(campaign.server.requests) <= 12


def test_answers_for_one_half_are_kept_when_the_other_ends_the_crawl(campaign):
    campaign.lack(*IDS)
    server = campaign.server
    server.script += [
        server.json({"message": "bad"}, "400 Bad Request"),
        server.json(graphql(title(IDS[0]))),
        server.json({"message": "who are you?"}, "403 Forbidden"),
    ]
    assert campaign.run("imdb_graphql", retries=0).outcome == "blocked"
    assert campaign.states("imdb_graphql") == {IDS[0]: "ok"}


@pytest.mark.parametrize(
    ("words", "state"), [("Invalid id", "not_found"), ("bad value", "failed")]
)  # fmt: skip
def test_errors_about_a_single_id(campaign, words, state):
    campaign.lack(IDS[0])
    campaign.server.answer = lambda _: campaign.server.json(errors_only(words))
    campaign.run("imdb_graphql", retries=0)
    assert campaign.states("imdb_graphql") == {IDS[0]: state}


def test_graphql_asks_in_words_to_slow_down(ask, campaign):
    states = ask("imdb_graphql", errors_only("Rate exceeded"), graphql(*map(title, IDS)))
    assert set(states.values()) == {"ok"}
    assert campaign.clock.slept[0] == 1.0


def test_graphql_refuses_us_in_words(campaign):
    campaign.lack(*IDS)
    campaign.server.script.append(campaign.server.json(errors_only("Not authorized for this field")))
    assert campaign.run("imdb_graphql").outcome == "blocked"
    assert campaign.states("imdb_graphql") == {}


def test_an_answer_of_another_form_is_bad_for_each_id_in_the_end(ask):
    nonsense = [{"data": {"titles": "none"}}] * 10
    assert ask("imdb_graphql", *nonsense) == dict.fromkeys(IDS, "bad_payload")


@pytest.mark.parametrize(
    ("told", "states"),
    [
        ({"titles": [{"id": name, "plot": WHOLE} for name in reversed(IDS)]}, ["ok", "ok", "ok"]),
        ({"titles": [{"id": IDS[0], "plot": WHOLE}, {"id": IDS[2]}]}, ["ok", "not_found", "no_plot"]),
        ({"titles": [None, {"id": None}, {"id": IDS[1], "plot": 7}]}, ["not_found", "no_plot", "not_found"]),
        ({}, ["not_found", "not_found", "not_found"]),
    ],
)
def test_imdbapi_dev(ask, campaign, told, states):
    assert ask("imdbapi_dev", told) == dict(zip(IDS, states, strict=True))
    assert campaign.server.requests[0].target.startswith("/titles:batchGet?titleIds=tt0000001&titleIds=tt0000002")


@pytest.mark.parametrize(
    ("told", "state"),
    [
        ({"Response": "True", "imdbID": IDS[0], "Plot": WHOLE}, "ok"),
        ({"Response": "True", "imdbID": IDS[0], "Plot": "N/A"}, "no_plot"),
        ({"Response": "True", "imdbID": IDS[0], "Plot": None}, "no_plot"),
        ({"Response": "True", "imdbID": IDS[0]}, "no_plot"),
        ({"Response": "True", "imdbID": IDS[0], "Plot": "A mill and its… "}, "truncated"),
        ({"Response": "False", "Error": "Incorrect IMDb ID."}, "not_found"),
        ({"Response": "False", "Error": "Movie not found!"}, "not_found"),
    ],
)
def test_omdb(campaign, told, state):
    campaign.lack(IDS[0])
    campaign.server.script.append(campaign.server.json(told))
    campaign.run("omdb")
    assert campaign.states() == {IDS[0]: state}


def test_omdb_says_in_words_that_the_day_is_used_up(campaign):
    campaign.lack(*IDS)
    spent = {"Response": "False", "Error": "Request limit reached!"}
    campaign.server.script.append(campaign.server.json(spent, "401 Unauthorized"))
    assert campaign.run("omdb").outcome == "stopped"
    assert campaign.run("omdb").outcome == "stopped"
    assert len(campaign.server.requests) == 1
    assert campaign.states() == {}
    campaign.clock.seconds += 86_400
    campaign.server.answer = lambda request: campaign.server.json(
        {"Response": "True", "imdbID": request.ids[0], "Plot": WHOLE}
    )
    assert campaign.run("omdb").outcome == "done"


def test_published_takes_the_first_whole_text_of_an_id(campaign):
    campaign.lack(*IDS)
    campaign.paths.published_crawl_csv.parent.mkdir(parents=True)
    rows = f"{IDS[2]},Add a Plot\n{IDS[0]},\n{IDS[0]},{WHOLE}\ntt9999999,Not asked for.\n"
    campaign.paths.published_crawl_csv.write_text("movie_id,description\n" + rows, encoding="utf-8")
    result = campaign.run("published", online=False)
    assert campaign.states("published") == dict(zip(IDS, ("ok", "not_found", "no_plot"), strict=True))
    assert campaign.plots() == {IDS[0]: WHOLE}
    assert result.outcome == "done"
    assert campaign.server.requests == []


def test_every_request_says_who_asks_and_what_it_accepts(ask, campaign):
    ask("imdb_graphql", graphql(*map(title, IDS)))
    headers = campaign.server.requests[0].headers
    assert headers["user-agent"].startswith("genreflow/")
    assert headers["user-agent"].endswith("(+someone@example.org)")
    assert headers["x-api-key"] == "h3ader-s3cret"
    assert headers["accept-encoding"] == "gzip"


def test_secrets_go_out_and_are_found_nowhere_else(campaign, caplog):
    caplog.set_level(logging.DEBUG)
    campaign.lack(*IDS)
    echo = {"Response": "False", "Error": "Something about k3y-0f-0mdb is not found"}
    campaign.server.script.append(campaign.server.json(echo))
    campaign.server.script.append(b"k3y-0f-0mdb\r\n\r\n")
    campaign.server.answer = lambda _: campaign.server.json({"Error": "Bad API key k3y-0f-0mdb"}, "401 Unauthorized")
    result = campaign.run("omdb", retries=0)
    assert campaign.server.requests[0].query["apikey"] == ["k3y-0f-0mdb"]
    files = [path for path in campaign.paths.root.rglob("*") if path.is_file()]
    assert not [path for path in files if b"k3y-0f-0mdb" in path.read_bytes()]
    logged = [record.getMessage() for record in caplog.records if record.name.startswith(("tasks", "httpx"))]
    assert logged
    assert "k3y-0f-0mdb" not in " ".join(logged) + repr(result) + repr(settings())


@pytest.mark.parametrize(
    ("environment", "choices", "words"),
    [
        ({"GENREFLOW_CONTACT": ""}, {}, "GENREFLOW_CONTACT"),
        ({"GENREFLOW_CONTACT": "me\r\nX-Evil: 1"}, {}, "GENREFLOW_CONTACT"),
        ({}, {"sources": ("imdb_graphql",), "accept_imdb_terms": False}, "written consent"),
        ({"GENREFLOW_IMDB_GRAPHQL_HEADERS": "{}"}, {"sources": ("imdb_graphql",)}, "GENREFLOW_IMDB_GRAPHQL_HEADERS"),
        (
            {"GENREFLOW_IMDB_GRAPHQL_HEADERS": json.dumps({"x-api-key": "line\nbreak"})},
            {"sources": ("imdb_graphql",)},
            "printable",
        ),
        ({}, {"sources": ("omdb", "elsewhere")}, "there is no elsewhere; choose from published, omdb"),
        ({}, {"daily_requests": {"ombd": 9}}, r"crawl\.daily_requests: there is no ombd; choose from published, omdb"),
        ({}, {"base_urls": {"ombd": "http://127.0.0.1"}}, r"crawl\.base_urls: there is no ombd; choose from"),
    ],
)
def test_what_has_to_be_set_before_anything_is_sent(campaign, monkeypatch, environment, choices, words):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    campaign.lack(*IDS)
    config = campaign.config(**{"sources": ("omdb",), **choices})
    with pytest.raises(ConfigError, match=words):
        check_access(config, campaign.paths)
    with pytest.raises(ConfigError, match=words):
        run_crawl(campaign.paths, config, clock=campaign.clock)
    assert campaign.server.requests == []
    assert not campaign.paths.crawl_csv.parent.exists()
