"""The lines of the server's log: JSON, one a line whatever is logged, and no secret in them."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from mlfoundry.server import logs
from mlfoundry.tracking.accounts import new_key


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Where the log goes; afterwards logging is as it was."""
    names = ("", "mlfoundry", "uvicorn", "uvicorn.error")
    known = [(logging.getLogger(name), logging.getLogger(name).handlers[:], logging.getLogger(name).level,
              logging.getLogger(name).propagate) for name in names]  # fmt: skip
    made = io.StringIO()
    ours = logging.getLogger("uvicorn.error")  # as in a process of its own, whatever servers of other tests made of it
    ours.handlers[:], ours.propagate, ours.disabled = [], True, False
    ours.setLevel(logging.NOTSET)
    logs.begin("info", made)
    yield made
    for log, handlers, level, propagate in known:
        log.handlers[:], log.propagate = handlers, propagate
        log.setLevel(level)


def _lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_says_when_how_grave_who_and_what(stream: io.StringIO) -> None:
    logging.getLogger("mlfoundry.server").info("request", extra={"status": 200, "user": None})
    (line,) = _lines(stream)
    assert str(line.pop("at")).endswith("Z")
    assert isinstance(line.pop("process"), int)
    assert line == {"level": "info", "logger": "mlfoundry.server", "message": "request", "status": 200, "user": None}


def test_what_is_logged_stays_on_one_line_and_in_ascii(stream: io.StringIO) -> None:
    logging.getLogger("mlfoundry").warning("a\nb\x1b[31m%s", "größe\u2028\u202e")
    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue().isascii()
    assert _lines(stream)[0]["message"] == "a\nb\x1b[31mgröße\u2028\u202e"


def test_an_exception_is_told_with_its_traceback(stream: io.StringIO) -> None:
    try:
        raise ValueError("no \n such thing")
    except ValueError:
        logging.getLogger("uvicorn.error").exception("failed")
    (line,) = _lines(stream)
    assert "ValueError: no \n such thing" in str(line["traceback"])
    assert line["level"] == "error"


def test_libraries_speak_up_only_when_something_is_wrong(stream: io.StringIO) -> None:
    logging.getLogger("psycopg.pool").info("a connection")
    logging.getLogger("psycopg.pool").warning("no connection")
    assert [line["message"] for line in _lines(stream)] == ["no connection"]


KEY = new_key()


@pytest.mark.parametrize(
    "text",
    [
        "the key KEY is wrong",
        "GET /api?token=KEY&x=1",
        "Authorization: Bearer KEY",
        "KEY_BEGINNING",
        "connection to postgresql://me:S3cret@db/runs failed",
        "connection to postgresql://S3cret@db/runs failed",
        "host=db password=S3cret dbname=x",
        "host=db password='S3cret and more' dbname=x",
        "authorization: bearer S3cret",
    ],
)
def test_what_looks_like_a_key_or_a_password_is_masked_wherever_it_stands(stream: io.StringIO, text: str) -> None:
    text = text.replace("KEY_BEGINNING", KEY[:30]).replace("KEY", KEY)
    try:
        raise ValueError(text)
    except ValueError:
        logging.getLogger("mlfoundry").exception("about %s", text, extra={"more": text, "deep": [text]})
    shown = stream.getvalue()
    assert "S3cret" not in shown
    assert KEY[4:20] not in shown
    assert shown.count(logs.MASK) >= 4
    json.loads(shown)


def test_ordinary_words_are_left_alone() -> None:
    for text in ("mlf_", "https://runs.example.org/a@b", "password", "the bearer", "mlfoundry_requests_total"):
        assert logs.masked(text) == text
