"""The page about the interface is true: its program runs, and its limits are those of the code."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import mlfoundry
from mlfoundry.query.parser import MAX_COMPARISONS, MAX_DEPTH, MAX_LIST
from mlfoundry.query.tokens import MAX_TEXT
from mlfoundry.server import answers, attempts, connections, limits
from mlfoundry.server.description import _SAYS
from mlfoundry.server.routes import data
from mlfoundry.store import parts, search
from mlfoundry.tracking import reading
from mlfoundry.wire import frames
from tests.servers import TeamServer

PAGE = (Path(__file__).parents[2] / "docs" / "http.md").read_text()


def test_the_program_of_the_page_makes_a_run_with_its_points(server: TeamServer, tmp_path: Path) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    if sys.version_info >= (3, 14):
        program = program.replace("from backports import zstd", "from compression import zstd")
    key = server.key("ann")
    settings = {"MLFOUNDRY_HOST": server.address, "MLFOUNDRY_API_KEY": key}
    done = subprocess.run([sys.executable, "-c", program], env=settings, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "{'acked': 5, 'settled': 5}\n"
    client = mlfoundry.get_client(server.address, api_key=key, home=tmp_path)
    run = client.get_run("iris-demo/by-hand")
    assert run.status == "FINISHED"
    assert run.get_metrics()["loss"].values.tolist() == [0.9, 0.4]
    client.backend.close()


HTTP = connections.BoundedHttp
LIMITS = {
    "JSON body": [limits.JSON_LIMIT_BYTES >> 20],
    "batch": [limits.SENT_BATCH_LIMIT_BYTES >> 20, frames.SLOTS_LIMIT_BYTES >> 20, frames.HEADER_LIMIT_BYTES >> 20],
    "part of a file": [parts.LEAST_PART_BYTES >> 10, limits.PART_LIMIT_BYTES >> 20, parts.SIZE_LIMIT_BYTES >> 40],
    "page of runs": [search.PAGE_LIMIT, search.NAMES_LIMIT],
    "filter": [MAX_TEXT, MAX_COMPARISONS, MAX_DEPTH, MAX_LIST],
    "points": [reading.SERIES_LIMIT, data.POINTS_LIMIT],
    "a body's way": [limits.BODY_PAUSE_S, limits.BODY_LEAST_BYTES_PER_S >> 10],
    "the head of a request": [HTTP.head_s, HTTP.head_bytes >> 10],
    "one caller": [limits.CALLER_TURNS, limits.TURN_WAIT_S, limits.CALLER_LIMIT_BYTES >> 20],
    "one connection": [HTTP.ahead],
    "one address": [HTTP.per_address, attempts.LIMIT],
}


@pytest.mark.parametrize("row", LIMITS)
def test_the_limits_of_the_page_are_those_of_the_code(row: str) -> None:
    (told,) = re.findall(rf"^\| {row} \| (.*) \|$", PAGE, re.MULTILINE)
    numbers = [int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", told)]
    assert numbers == LIMITS[row]


def test_every_limit_of_the_page_is_compared() -> None:
    table = PAGE.partition("## Limits")[2].partition("## ")[0]
    assert re.findall(r"^\| ([^|]+?) \| [^|]+ \|$", table, re.MULTILINE) == list(LIMITS)


def test_every_error_status_is_on_the_page() -> None:
    told = {int(status) for row in re.findall(r"^\| ([\d, ]+) \|", PAGE, re.MULTILINE) for status in row.split(",")}
    assert told == set(_SAYS) - {416}
    assert set(answers.Problem.model_fields) >= {"code", "message", "request_id"}
