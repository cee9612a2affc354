"""What a server says of an error: shown as text, of a bounded length, and pointing nowhere that is not."""

import pytest

from mlfoundry.errors import InvalidFilter, InvalidInput, NotFound
from mlfoundry.wire import errors

STEERING = "\x1b]0;pwned\x07\x1b[2J\x9b31m\u202eevil\r\ud800"


def read(code, message, status=400, **more):
    return errors.read_error(status, {"error": {"code": code, "message": message, **more}}, None)


@pytest.mark.parametrize(("code", "status"), [("InvalidInput", 400), ("NotFound", 404), ("Nope", 503), ("Nope", 418)])
def test_a_message_never_steers_the_terminal_that_shows_it(code, status):
    said = str(read(code, f"one\ntwo {STEERING} three", status))
    assert all(letter.isprintable() or letter == "\n" for letter in said)
    assert said.startswith("one\ntwo \\x1b]0;pwned")
    assert said.endswith(" three")


def test_a_message_without_end_is_cut():
    assert len(str(read("InvalidInput", "x" * 10_000_000))) == errors.MESSAGE_LIMIT


def test_what_our_server_says_comes_as_it_is():
    for error in (InvalidInput("Größe 5 MB – „zu groß“, 模型"), NotFound("there is no run 'a\\nb'")):
        again = errors.read_error(errors.http_status(error), errors.error_json(error, "id"), None)
        assert (type(again), str(again)) == (type(error), str(error))
    error = InvalidFilter("an operator is missing", text="metrics.a 5", position=10, length=1)
    assert str(errors.read_error(400, errors.error_json(error, "id"), None)) == str(error)


@pytest.mark.parametrize(
    "place",
    [
        {"text": 5, "position": 0, "length": 1},
        {"text": "a > 0", "position": "x", "length": 1},
        {"text": "a > 0", "position": 10**9, "length": 1},
        {"text": "a > 0", "position": -5, "length": 1},
        {"text": "a > 0", "position": 0, "length": 10**10},
        {"text": "a > 0", "position": 0, "length": "y"},
        {"text": "a" * 100_000, "position": 0, "length": 100_000},
        {},
    ],
    ids=lambda place: str(place)[:50],
)
def test_a_place_that_is_none_of_a_filter_is_not_pointed_at(place):
    error = read("InvalidFilter", "no", **place)
    assert type(error) is InvalidFilter
    assert str(error) == "no"


def test_the_filter_that_is_pointed_into_steers_nothing_either():
    assert "\x1b" not in str(read("InvalidFilter", "no", text="\x1b[2J", position=0, length=1))
