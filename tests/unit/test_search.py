"""Compiling filters: what a user wrote is bound, never part of a statement; forged cursors are errors of ours."""

from __future__ import annotations

import base64
import json
import uuid

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlfoundry.errors import InvalidFilter, InvalidInput
from mlfoundry.records import NewRun, RunQuery
from mlfoundry.store.database import Transaction
from mlfoundry.tracking.embedded import EmbeddedBackend

MARK = "q7zX"  # what stands in every literal and name of these filters, and in no statement of ours
LITERALS = [
    f"params.{MARK} = '{MARK}'",
    f"params.{MARK} != '{MARK}'",
    f"params.{MARK} in ('{MARK}', '{MARK}2', 7654321)",
    f"params.{MARK} not in ('{MARK}')",
    f"params.{MARK} like '{MARK}%'",
    f"params.{MARK} not ilike '%{MARK}'",
    f"params.{MARK} contains '{MARK}'",
    f"params.`{MARK}' or 1=1 --` > 7654321",
    f"params.{MARK} = true",
    f"params.{MARK} = nan",
    f"params.{MARK} = 123456789012345678",
    f"tags.{MARK} is null",
    f"metrics.{MARK} < 7654321.5",
    f"metrics.{MARK} in (7654321, nan)",
    f"min(metrics.{MARK}) is not null",
    f"run_name = '{MARK}'",
    f"created_by in ('{MARK}')",
    f"status = '{MARK}'",
    f"description ilike '%{MARK}%'",
    f"error contains '{MARK}'",
    "duration > 7654321",
    "started_at < '2026-11-01 07:06:54.321'",
    "run_id = 'abcdefabcdefabcdefabcdefabcdefab'",
    "run_id like 'abcdefabcdef%'",
    f"not (metrics.{MARK} < 7654321 or params.{MARK} = 7654321) and tags.{MARK} = '{MARK}'",
]
OURS = [MARK.lower(), "7654321", "abcdefabcdef", "1793", "123456789012345678"]


@pytest.fixture
def backend(tmp_path):
    backend = EmbeddedBackend(tmp_path / "store", "ann")
    yield backend
    backend.close()


@pytest.fixture
def project_id(backend):
    return backend.create_run(
        NewRun(uuid.uuid4().hex, "iris", "run", None, {}, "", 1_700_000_000_000_000)
    ).key.project_id


@pytest.mark.parametrize("text", LITERALS)
def test_nothing_of_a_filter_stands_in_a_statement(backend, project_id, statements, text):
    backend.search_runs(RunQuery(project_id, text))
    assert statements
    for sql in statements:
        assert not [part for part in OURS if part in sql.lower()]
        assert str(project_id) not in sql


@pytest.mark.parametrize(
    "order", [f"metrics.{MARK}", f"-params.{MARK}", f"tags.`{MARK}'--` desc", f"max(metrics.{MARK})", "-duration"]
)
def test_nothing_of_an_order_a_cursor_or_a_choice_of_columns_stands_in_a_statement(
    backend, project_id, statements, order
):
    for _ in range(3):
        new = NewRun(uuid.uuid4().hex, "iris", MARK, None, {MARK: MARK}, MARK, 1_700_000_000_000_000)
        backend.create_run(new)
    cursor = None
    for _ in range(4):
        query = RunQuery(
            project_id, order_by=(order,), limit=1, cursor=cursor, params=(MARK,), metrics=(MARK,), tags=(MARK,)
        )
        cursor = backend.search_runs(query).next_cursor
    assert not [sql for sql in statements if MARK.lower() in sql.lower()]


def test_every_question_mark_of_a_statement_is_bound(backend, project_id, monkeypatch):
    wrong = []
    kept = Transaction.rows

    def spy(self, sql, values=()):
        if sql.count("?") != len(values):
            wrong.append(sql)
        return kept(self, sql, values)

    monkeypatch.setattr(Transaction, "rows", spy)
    for text in LITERALS:
        backend.search_runs(RunQuery(project_id, text, ("metrics.a", "-params.b", "duration")))
    assert wrong == []


def forged(value) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


FORGED = {
    "empty": "",
    "no base64": "!!!",
    "no ASCII": "é",
    "no JSON": base64.urlsafe_b64encode(b"{").decode(),
    "no UTF-8": base64.urlsafe_b64encode(b"\xff\xfe").decode(),
    "a number": forged(5),
    "null": forged(None),
    "an object": forged({"a": 1}),
    "too short": forged([1]),
    "too long": forged([1, 2, 3]),
    "nested": forged([[1], [2]]),
    "deep": base64.urlsafe_b64encode(b"[" * 100_000).decode(),
    "an int beyond 64 bits": forged([2**63, {"hex": "00"}]),
    "an int far beyond 64 bits": forged([10**400, {"hex": "00"}]),
    "too many digits": base64.urlsafe_b64encode(b"[" + b"9" * 5000 + b", 1]").decode(),
    "no hex": forged([1, {"hex": "zz"}]),
    "hex that is a number": forged([1, {"hex": 5}]),
    "no bytes": forged([1, {"text": "00"}]),
    "half a surrogate": forged([1, "\ud800"]),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_cursor_that_is_none_of_this_list_is_an_error_that_says_to_begin_again(backend, project_id, name):
    with pytest.raises(InvalidInput, match="is none of this list; begin again without one"):
        backend.search_runs(RunQuery(project_id, cursor=FORGED[name]))


@given(
    cursor=st.text(max_size=60) | st.lists(st.none() | st.integers() | st.floats() | st.text(max_size=5), max_size=3)
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_cursor_is_understood_or_an_error_of_ours(backend, project_id, cursor):
    text = cursor if isinstance(cursor, str) else forged(cursor)
    told = "begin again without one"
    try:
        backend.search_runs(RunQuery(project_id, cursor=text))
    except InvalidInput as error:
        told = str(error)
    assert "begin again without one" in told


def place_of_error(backend, query) -> int:
    """Return where a search says that it does not understand, 0 when it does."""
    try:
        backend.search_runs(query)
    except InvalidFilter as error:
        return error.position
    return 0


@given(text=st.text(max_size=60) | st.from_regex(r"[a-z.`'()<>=!% 0-9,-]{0,60}", fullmatch=True))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_a_filter_or_an_error_that_points_into_it(backend, project_id, text):
    for query in (RunQuery(project_id, text), RunQuery(project_id, order_by=(text,))):
        assert 0 <= place_of_error(backend, query) <= len(text)


WORDS = """
    loss metrics.loss params.a tags.b status started_at duration ended_at run_id min(loss) = != < >= like ilike ~
    contains in not is null and or ( ) , 1 -inf nan 1e400 99999999999999999999 'x' '' x 90s '2026-01-01' 0x10 1e308 true
""".split()  # noqa: SIM905  a list of 39 short strings is no easier to read
NUMBERS = ["1e400", "-1e308", "5e-324", "0x10", "1_000", "inf", "nan", "1e16", "99999999999999999999", "9" * 400]


@given(words=st.lists(st.sampled_from(WORDS), min_size=3, max_size=9))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
def test_any_row_of_the_languages_own_words_is_answered_or_an_error_of_ours(backend, project_id, words):
    if not backend.list_keys(project_id, "tag"):
        backend.create_run(NewRun(uuid.uuid4().hex, "iris", "run", None, {"loss": "1"}, "", 1_700_000_000_000_000))
    text = " ".join(words)
    assert place_of_error(backend, RunQuery(project_id, text)) < len(text)


@pytest.mark.parametrize("field", ["duration", "metrics.m", "params.p", "tags.t", "started_at"])
def test_a_number_of_any_size_is_answered_or_an_error_of_the_filter(backend, project_id, field):
    for value in NUMBERS:
        for comparison in (f"= {value}", f"< {value}", f"in ({value})"):
            text = f"{field} {comparison}"
            assert 0 <= place_of_error(backend, RunQuery(project_id, text)) < len(text)
