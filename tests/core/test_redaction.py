import logging
import sys

import pytest

from tasks.core.logs import SafeFormatter, hide_in_records, hide_secrets, without_password


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://me:pass@proxy:3128", "http://me:***@proxy:3128"),
        ("https://token@host/x", "https://***@host/x"),
        ("https://host/x?n=1&api_key=abc&m=2", "https://host/x?n=1&api_key=***&m=2"),
        ("s3://bucket/a?X-Amz-Signature=abc", "s3://bucket/a?X-Amz-Signature=***"),
        ("postgresql+psycopg2://me:p@ss/w:rd@host/db", "postgresql+psycopg2://me:***@host/db"),
        ("postgresql://me@host/db?password=abc", "postgresql://me@host/db?password=***"),
        ("me:secret@host/db", "me:***@host/db"),
        ("https://host:8080/path@x", "https://host:8080/path@x"),
        ("http://127.0.0.1:5000/#/x", "http://127.0.0.1:5000/#/x"),
        ("http://[::1]:5000", "http://[::1]:5000"),
        ("sqlite:////data/me@home/mlflow.db", "sqlite:////data/me@home/mlflow.db"),
        ("/some/folder", "/some/folder"),
    ],
)
def test_addresses_are_shown_without_their_passwords(address, shown):
    assert without_password(address) == shown
    assert without_password(shown) == shown


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("GENREFLOW_OMDB_API_KEY", "k3y-0f-0mdb", "k3y-0f-0mdb"),
        ("AWS_SECRET_ACCESS_KEY", "aws/secret+x", "aws/secret+x"),
        ("HF_TOKEN", "hf_abcdef", "hf_abcdef"),
        ("MLFLOW_TRACKING_PASSWORD", "mlpassword", "mlpassword"),
        ("PREFECT_API_AUTH_STRING", "admin:prefectpw", "prefectpw"),
        ("GENREFLOW_IMDB_GRAPHQL_HEADERS", '{"x-api-key": "header-value"}', "header-value"),
        ("HTTPS_PROXY", "http://me:pr0xy%2Fpw@proxy:1", "pr0xy/pw"),
        ("HTTPS_PROXY", "http://me:pr0xy%2Fpw@proxy:1", "pr0xy%2Fpw"),
        ("MLFLOW_TRACKING_URI", "postgresql://me:p@ss/w:rd@host/db", "p@ss/w:rd"),
        ("PREFECT_API_DATABASE_CONNECTION_URL", "postgresql+asyncpg://me:dbsecret@host/db", "dbsecret"),
    ],
)
def test_secrets_of_the_environment_are_hidden_wherever_they_stand(name, value, text):
    assert hide_secrets(f"before{text}after", {name: value}) == "before***after"


def test_a_secret_within_a_longer_one_leaves_no_rest():
    assert hide_secrets("abcdef-ghijkl abcdef", {"A_KEY": "abcdef", "B_KEY": "abcdef-ghijkl"}) == "*** ***"


def test_what_is_no_secret_stays():
    environment = {"A_KEY": "short", "PWD": "/home/someone", "KEYBOARD": "qwertz-layout", "A_HEADERS": "[1]"}
    text = "short /home/someone qwertz-layout [1] http://host:80/p?x=a@b"
    assert hide_secrets(text, environment) == text


def test_passwords_in_addresses_of_a_text_are_hidden_though_nobody_knows_them():
    text = "asked 'http://me:unknown@host/x' and https://a:b@c, then 'https://token@host/x'"
    assert hide_secrets(text, {}) == "asked 'http://me:***@host/x' and https://a:***@c, then 'https://***@host/x'"


def test_logged_tracebacks_have_none(monkeypatch):
    monkeypatch.setenv("KAGGLE_KEY", "planted-secret")
    try:
        int("planted-secret")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "f", 1, "with %s", ("planted-secret",), sys.exc_info())
    shown = SafeFormatter("%(message)s").format(record)
    assert shown.startswith("with ***\nTraceback")
    assert shown.endswith("invalid literal for int() with base 10: '***'")


def test_no_handler_sees_a_secret_or_a_control_character(monkeypatch):
    monkeypatch.setenv("PLANTED_PASSWORD", "planted-secret")
    before = logging.getLogRecordFactory()
    hide_in_records()
    seen: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = seen.append
    ours, theirs = logging.getLogger("tasks.planted"), logging.getLogger("another.planted")
    try:
        for logger in (ours, theirs):
            logger.addHandler(handler)
        try:
            int("planted-secret")
        except ValueError:
            ours.exception("%s and \x1b[31m", "planted-secret")
        theirs.warning("%s", "left as it is")
        assert logging.makeLogRecord({"name": "tasks.elsewhere", "msg": "forwarded"}).getMessage() == "forwarded"
    finally:
        logging.setLogRecordFactory(before)
        for logger in (ours, theirs):
            logger.removeHandler(handler)
    record, other = seen
    assert record.getMessage() == r"*** and \x1b[31m"
    assert "planted-secret" not in logging.Formatter().format(record)
    assert "base 10: '***'" in record.exc_text
    assert other.args == ("left as it is",)
