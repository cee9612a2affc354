"""The page about the interface is true: its program runs, and its limits are those of the code."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import mlfoundry
from mlfoundry import query, query_tokens
from mlfoundry.server import answers, attempts, connections, limits
from mlfoundry.server.description import _SAYS
from mlfoundry.store import parts, search
from mlfoundry.tracking import service
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


@pytest.mark.parametrize(
    "says",
    [
        f"| JSON body | {limits.JSON_LIMIT_BYTES >> 20} MiB |",
        f"| batch | {limits.BATCH_LIMIT_BYTES >> 20} MiB as it is sent, {frames.BATCH_LIMIT_BYTES >> 20} MiB of slots; "
        f"its header {frames.HEADER_LIMIT_BYTES >> 20} MiB |",
        f"| part of a file | {parts.LEAST_PART_BYTES >> 10} KiB (but for the last) to "
        f"{limits.PART_LIMIT_BYTES >> 20} MiB; a file {parts.SIZE_LIMIT_BYTES >> 40} TiB |",
        f"| page of runs | {search.PAGE_LIMIT:,} runs, {search.NAMES_LIMIT:,} names of each kind |",
        f"| filter | {query_tokens.MAX_TEXT:,} characters, {query.MAX_COMPARISONS} comparisons, {query.MAX_DEPTH} levels, "
        f"{query.MAX_LIST:,} values in a list |",
        f"| points | {service.SERIES_LIMIT:,} metrics named in one question |",
        f"| a body's way | {limits.BODY_PAUSE_S:g} s to begin with, then {limits.BODY_LEAST_BYTES_PER_S >> 10} KiB a second",
        f"| the head of a request | {connections.BoundedHttp.head_s:g} s |",
        f"| one caller | {limits.CALLER_TURNS} requests worked on at once with each worker, others wait up to "
        f"{limits.TURN_WAIT_S:g} s; {limits.CALLER_LIMIT_BYTES >> 20} MiB of bodies |",
        f"| one address | {connections.BoundedHttp.per_address} connections to each worker; {attempts.LIMIT} wrong keys",
        f"forgotten after a {'week' if parts.PART_LIFE_S == 7 * 86_400 else '?'}",
    ],
)
def test_the_limits_of_the_page_are_those_of_the_code(says: str) -> None:
    assert says in PAGE


def test_every_error_status_is_on_the_page() -> None:
    told = {int(status) for row in re.findall(r"^\| ([\d, ]+) \|", PAGE, re.MULTILINE) for status in row.split(",")}
    assert told == set(_SAYS) - {416}
    assert set(answers.Problem.model_fields) >= {"code", "message", "request_id"}
