"""Pages of runs by columns: what a client asks a server for, several times as fast as the JSON of `records`.

A frame as in `frames`. Its body begins with JSON: the project, the columns of texts, the names of metrics. The columns
of numbers follow, little-endian and one behind the other: of each run started_at, ended_at, last_seen_at, deleted_at;
of each param and of each tag the place of its run in the page; of each metric of a run the places of its run and of its
name, then count, last step, time of the last point, last, least and greatest value. Times are microseconds since 1970,
`NONE` stands for none. Places are uint32, values float64, all else int64.
"""

from __future__ import annotations

import json
import math
import sys
from array import array
from collections.abc import Iterable, Sequence
from typing import Any

from ..errors import InvalidInput
from ..json_texts import read_json
from ..records import RunKey, RunPage, RunRecord, RunRows, RunStatus
from ..summaries import Summaries
from ..values import param_value, utc
from .frames import frame, read_frame
from .plain import Json, read_time, reading

RUNS_TYPE = "application/vnd.mlfoundry.runs"
NONE = -(1 << 63)
_PLACE, _WHOLE, _REAL = "I", "q", "d"
_OF_RUNS = _WHOLE * 4
_OF_METRICS = _PLACE * 2 + _WHOLE * 3 + _REAL * 3
_STATUS = {status.value: status for status in RunStatus}


def page_frame(page: RunRows) -> bytes:
    """Return a page as bytes."""
    runs = _columns(page.runs, 10)
    places = {run_id: place for place, run_id in enumerate(runs[0])}
    params = _columns([row for row in page.attributes if row[1] == "param"], 5)
    tags = _columns([row for row in page.attributes if row[1] != "param"], 5)
    metrics = _columns(page.metrics, 8)
    names = {key: place for place, key in enumerate(page.metric_names)}
    text = json.dumps(
        {
            "project": [page.project_id, page.owner, page.project_name],
            "next_cursor": page.next_cursor,
            "hints": page.hints,
            "run_ids": b"".join(runs[0]).hex(),
            "runs": [runs[1], runs[2], runs[3], runs[7], runs[8]],
            "params": params[2:],
            "tags": [tags[2], tags[4]],
            "metrics": list(page.metric_names.values()),
        },
        separators=(",", ":"),
    ).encode()
    times = ([NONE if at is None else at for at in column] for column in (runs[4], runs[5], runs[6], runs[9]))
    run_of, key, n, last, last_step, last_at, lowest, highest = metrics
    values = ([math.nan if value is None else value for value in column] for column in (last, lowest, highest))
    parts = [
        text,
        *(_packed(_WHOLE, column) for column in times),
        *(_packed(_PLACE, map(places.__getitem__, column)) for column in (params[0], tags[0], run_of)),
        _packed(_PLACE, map(names.__getitem__, key)),
        *(_packed(_WHOLE, column) for column in (n, last_step, last_at)),
        *(_packed(_REAL, column) for column in values),
    ]
    header = {
        "text": len(text),
        "runs": len(runs[0]),
        "params": len(params[0]),
        "tags": len(tags[0]),
        "metrics": len(n),
    }
    return frame(header, b"".join(parts))


def read_page_frame(data: bytes) -> RunPage:
    """Return a page from bytes."""
    with reading("page of runs"):
        header, body = read_frame(data, _size)
        told, rest = read_json(body[: header["text"]]), _Columns(body, header["text"])
        count = header["runs"]
        times = [rest.take(_WHOLE, count) for _ in range(4)]
        param_places, tag_places = (rest.take(_PLACE, header[kind]) for kind in ("params", "tags"))
        metrics = [rest.take(code, header["metrics"]) for code in _OF_METRICS]
        params = _by_run(count, param_places, told["params"][0], map(param_value, *told["params"][1:]))
        tags = _by_run(count, tag_places, *told["tags"])
        return RunPage(
            tuple(_runs(told, times, params, tags, _summaries(count, metrics, told["metrics"]))),
            told["next_cursor"],
            tuple(told["hints"]),
        )


def _runs(
    told: Json,
    times: list[array[int]],
    params: list[dict[str, Any]],
    tags: list[dict[str, Any]],
    metrics: list[Summaries],
) -> Iterable[RunRecord]:
    project_id, owner, project_name = told["project"]
    ids = told["run_ids"]
    columns = [*told["runs"], *times, params, tags, metrics]
    for place, row in enumerate(zip(*columns, strict=True)):
        name, status, created_by, description, error, started, ended, seen, deleted, of_params, of_tags, of_metrics = (
            row
        )
        yield RunRecord(
            RunKey(project_id, ids[32 * place : 32 * place + 32]),
            owner,
            project_name,
            name,
            _STATUS[status],
            created_by,
            utc(started),
            read_time(None if ended == NONE else ended),
            utc(seen),
            description,
            error,
            read_time(None if deleted == NONE else deleted),
            of_params,
            of_tags,
            of_metrics,
        )


def _by_run(count: int, places: Iterable[int], names: Iterable[str], values: Iterable[Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [{} for _ in range(count)]
    for place, name, value in zip(places, names, values, strict=True):
        found[place][name] = value
    return found


def _summaries(count: int, columns: list[array[Any]], names: list[str]) -> list[Summaries]:
    run_of, key, n, last_step, last_at, last, lowest, highest = columns
    if key and max(key) >= len(names):
        raise InvalidInput("a metric of the page has no name")
    found: list[list[tuple[Any, ...]]] = [[] for _ in range(count)]
    for row in zip(run_of, key, n, last, last_step, last_at, lowest, highest, strict=True):
        found[row[0]].append(row)
    return [Summaries(rows, names) for rows in found]


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[tuple[Any, ...]]:
    return list(zip(*rows, strict=True))[:width] if rows else [()] * width


def _packed(code: str, values: Iterable[Any]) -> bytes:
    column = array(code, values)
    if sys.byteorder == "big":
        column.byteswap()
    return column.tobytes()


class _Columns:
    """The columns of a body, one after the other."""

    def __init__(self, body: bytes, at: int) -> None:
        self._body, self._at = memoryview(body), at

    def take(self, code: str, count: int) -> array[Any]:
        """Return the next column."""
        column = array(code)
        stop = self._at + count * column.itemsize
        column.frombytes(self._body[self._at : stop])
        if sys.byteorder == "big":
            column.byteswap()
        self._at = stop
        return column


def _size(header: Json) -> int:
    """Return how many bytes the body has."""
    counts = {name: header[name] for name in ("text", "runs", "params", "tags", "metrics")}
    if not all(type(count) is int and count >= 0 for count in counts.values()):
        raise InvalidInput("a page has no negative number of runs")
    of_run, of_metric = (sum(array(code).itemsize for code in codes) for codes in (_OF_RUNS, _OF_METRICS))
    places = array(_PLACE).itemsize * (counts["params"] + counts["tags"])
    return int(counts["text"] + of_run * counts["runs"] + places + of_metric * counts["metrics"])
