"""What is sent to a panel: records as frames of bytes and as JSON. Pure functions; `frames.js` reads them.

A frame is the length of its header (uint32), the header (JSON, padded with spaces so that the data begins
at a multiple of 8), then columns back to back, each padded to 8 bytes; everything little-endian. The
header's ``columns`` say the name, type (f8, f4, i4, u4, u1) and length of each.

A column whose header has a ``dict`` holds codes into it, 0 for absent. One whose header has ``has`` is
followed by the column of that name: 1 where there is a value.

Numbers of a table are sent as the narrowest type that holds each of them exactly.
"""

from __future__ import annotations

import functools
import json
import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..records import Collaborator, Health, MetricSummary, ProjectRecord, RunRecord, RunStatus, Series
from ..system_metrics import catalogue
from ..values import param_text

_TYPES = {"f8": "<f8", "f4": "<f4", "i4": "<i4", "u4": "<u4", "u1": "u1"}
_WHOLE_DOUBLE = 1 << 53
_CELL = "cell."
_TRACEBACK = "error.traceback"

Column = tuple[dict[str, Any], NDArray[Any]]


# -- frames --------------------------------------------------------------------------------------


def frame(header: Mapping[str, Any], columns: Sequence[Column]) -> bytes:
    """Return a frame.

    Args:
        header: What it says beside its columns; holds ``kind``.
        columns: Of each what its header says beside length, with ``name`` and ``type``; and its values.
    """
    heads, parts = [], []
    for told, values in columns:
        data = np.ascontiguousarray(values, dtype=_TYPES[told["type"]]).tobytes()
        heads.append({**told, "length": len(values)})
        parts.append(data + b"\0" * (-len(data) % 8))
    text = json.dumps({**header, "columns": heads}, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-(len(text) + 4) % 8)
    return b"".join([struct.pack("<I", len(text)), text, *parts])


def whole_points(
    run_id: str, logged: Sequence[Series], system: Sequence[Series], *, told: Mapping[str, Any] | None = None
) -> bytes:
    """Return all that a run has measured so far, or an overview of it.

    Args:
        run_id: The run.
        logged: Its metrics.
        system: Its system metrics.
        told: What the header says besides: as ``total`` how many series of each kind the run has, where these are not
            all; as ``adds`` that those without points are here already.
    """
    heads = [_series_head(series, is_system=False) for series in logged]
    heads += [_series_head(series, is_system=True) for series in system]
    header = {"kind": "points", "run": run_id, "whole": True, "series": heads, **(told or {})}
    return frame(header, _point_columns([*logged, *system]))


def new_points(run_id: str, new: Sequence[tuple[int, int, Series]]) -> bytes:
    """Return points that came since the last whole frame or the last of these.

    Args:
        run_id: The run.
        new: Place in the last whole frame's series, count of points before, and the new points.
    """
    columns: list[Column] = [
        _whole_numbers("index", np.array([index for index, _, _ in new], np.int64)),
        _whole_numbers("n", np.array([len(series.values) for _, _, series in new], np.int64)),
        _whole_numbers("since", np.array([since for _, since, _ in new], np.int64)),
        *_point_columns([series for _, _, series in new]),
    ]
    return frame({"kind": "points", "run": run_id, "whole": False}, columns)


def _series_head(series: Series, *, is_system: bool) -> dict[str, Any]:
    unit, group, axis = _look(series.name) if is_system else ("", series.name.rpartition("/")[0], None)
    return {
        "name": series.name,
        "system": is_system,
        "n": len(series.values),
        "count": series.count,
        "unit": unit,
        "group": group,
        "axis": axis,
    }


@functools.lru_cache(maxsize=4096)
def _look(name: str) -> tuple[str, str, tuple[float, float] | None]:
    known = catalogue.find(name)
    return ("", "Other", None) if known is None else (known.unit, known.group, known.axis)


def _point_columns(every: Sequence[Series]) -> list[Column]:
    whole, real = [np.empty(0, np.int64)], [np.empty(0)]
    steps = np.concatenate([series.steps for series in every] or whole)
    times = np.concatenate([series.times for series in every] or whole) / 1e6
    values = np.concatenate([series.values for series in every] or real)
    return [
        _whole_numbers("steps", steps),
        ({"name": "times", "type": "f8"}, times),
        ({"name": "values", "type": "f8"}, values),
    ]


def _whole_numbers(name: str, values: NDArray[np.int64]) -> Column:
    """Return a column of the narrowest type; what exceeds 32 bits becomes the nearest double."""
    least, greatest = (int(values.min()), int(values.max())) if len(values) else (0, 0)
    if least >= 0 and greatest < 1 << 8:
        kind = "u1"
    elif least >= -(1 << 31) and greatest < 1 << 31:
        kind = "i4"
    else:
        kind = "f8"
    return {"name": name, "type": kind}, values


# -- the table of runs ---------------------------------------------------------------------------


def runs_frame(
    project: ProjectRecord,
    records: Sequence[RunRecord],
    *,
    offset: int,
    total: int,
    extra: Mapping[str, Any] | None = None,
    extremes: bool = False,
) -> bytes:
    """Return a stretch of a table of runs.

    Args:
        project: Their project.
        records: The runs of this stretch, in the order of the table.
        offset: Place of the first of them.
        total: Number of runs in the whole table.
        extra: What the header says besides.
        extremes: Whether least and greatest of each metric are columns as well.
    """
    columns = [*_fixed_columns(records), *_param_columns(records), *_metric_columns(records, extremes=extremes)]
    columns += [
        _text_column(f"tags.{name}", [record.tags.get(name) for record in records])
        for name in _names(record.tags for record in records)
    ]
    header = {
        "kind": "runs",
        "project": project_json(project),
        "total": total,
        "offset": offset,
        "names": [told["name"] for told, _ in columns if not told["name"].startswith("has:")],
        **(extra or {}),
    }
    return frame(header, columns)


def _fixed_columns(records: Sequence[RunRecord]) -> list[Column]:
    return [
        _text_column("run_id", [record.key.run_id for record in records]),
        _text_column("name", [record.run_name for record in records]),
        _text_column("status", [record.status.value for record in records]),
        ({"name": "started_at", "type": "f8"}, _times([record.started_at for record in records])),
        ({"name": "ended_at", "type": "f8"}, _times([record.ended_at for record in records])),
        _text_column("created_by", [record.created_by for record in records]),
        _text_column("description", [record.description or None for record in records]),
        _text_column("error", [record.error or None for record in records]),
    ]


def _param_columns(records: Sequence[RunRecord]) -> list[Column]:
    columns: list[Column] = []
    for name in _names(record.params for record in records):
        params = [record.params.get(name, _ABSENT) for record in records]
        if all(value is _ABSENT or _is_number(value) for value in params):
            columns += _number_columns(f"params.{name}", [None if value is _ABSENT else value for value in params])
        else:
            texts = [None if value is _ABSENT else param_text(name, value)[1] for value in params]
            columns.append(_text_column(f"params.{name}", texts))
    return columns


def _metric_columns(records: Sequence[RunRecord], *, extremes: bool) -> list[Column]:
    columns: list[Column] = []
    for name in _names(record.metrics for record in records):
        metrics = [record.metrics.get(name) for record in records]
        columns += _number_columns(f"metrics.{name}", [None if metric is None else metric.last for metric in metrics])
        if extremes:
            least = [None if metric is None else metric.min for metric in metrics]
            greatest = [None if metric is None else metric.max for metric in metrics]
            columns += _number_columns(f"min(metrics.{name})", least)
            columns += _number_columns(f"max(metrics.{name})", greatest)
    return columns


_ABSENT = object()


def _names(mappings: Iterable[Mapping[str, Any]]) -> list[str]:
    return sorted({name for mapping in mappings for name in mapping})


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return isinstance(value, float) or abs(value) <= _WHOLE_DOUBLE


def _text_column(name: str, texts: Sequence[str | None]) -> Column:
    codes: dict[str, int] = {}
    values = [0 if text is None else codes.setdefault(text, len(codes) + 1) for text in texts]
    narrow = len(codes) < 256
    array = np.array(values, np.uint8 if narrow else np.uint32)
    return {"name": name, "type": "u1" if narrow else "u4", "dict": ["", *codes]}, array


def _number_columns(name: str, numbers: Sequence[float | None]) -> list[Column]:
    values = np.array([math.nan if number is None else number for number in numbers], np.float64)
    kind = _narrowest(values)
    told = {"name": name, "type": kind}
    if None not in numbers:
        return [(told, values)]
    has = np.array([number is not None for number in numbers], np.uint8)
    return [({**told, "has": f"has:{name}"}, values), ({"name": f"has:{name}", "type": "u1"}, has)]


def _narrowest(values: NDArray[np.float64]) -> str:
    """Return the narrowest type that gives each number back; NaN and the sign of zero are numbers as well."""
    with np.errstate(over="ignore", under="ignore"):
        back = values.astype(np.float32).astype(np.float64)
    return "f4" if np.array_equal(back, values, equal_nan=True) else "f8"


def _times(times: Sequence[datetime | None]) -> NDArray[np.float64]:
    return np.array([math.nan if at is None else at.timestamp() for at in times], np.float64)


# -- JSON ----------------------------------------------------------------------------------------


def seconds(at: datetime | None) -> float | None:
    """Return a time as seconds since 1970."""
    return None if at is None else at.timestamp()


def number_json(value: float) -> float | str:
    """Return a number as JSON knows it: those that are not finite as text."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def project_json(project: ProjectRecord) -> dict[str, Any]:
    """Return a project as JSON; its id as text, since JavaScript has no such integers."""
    return {
        "project_id": str(project.project_id),
        "owner": project.owner,
        "name": project.name,
        "created_at": seconds(project.created_at),
        "permission": project.permission.name,
        "run_count": project.run_count,
        "running_count": project.running_count,
        "last_run_at": seconds(project.last_run_at),
        "collaborator_count": project.collaborator_count,
    }


def collaborator_json(collaborator: Collaborator) -> dict[str, Any]:
    """Return a collaborator as JSON."""
    return {
        "user": collaborator.user,
        "permission": collaborator.permission.name,
        "is_owner": collaborator.is_owner,
        "added_at": seconds(collaborator.added_at),
    }


def health_json(health: Health | None) -> dict[str, Any] | None:
    """Return how the tracker is doing as JSON; None when the run is logged to by another process."""
    if health is None:
        return None
    return {
        "state": health.state,
        "message": health.message,
        "accepted": health.accepted,
        "pending_bytes": health.pending_bytes,
        "lost": health.lost,
        "tracker_cpu_s": round(health.tracker_cpu_s, 4),
    }


def _metric_json(metric: MetricSummary) -> dict[str, Any]:
    return {
        "last": number_json(metric.last),
        "last_step": metric.last_step,
        "last_at": seconds(metric.last_at),
        "min": number_json(metric.min),
        "max": number_json(metric.max),
        "count": metric.count,
    }


def _param_json(name: str, value: Any) -> list[Any]:
    return [param_text(name, value)[1], number_json(value) if _is_number(value) else None]


def cells(record: RunRecord, facts: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the cells that a run's facts tell of, in order; one that cannot be read is left out.

    A cell whose end nobody could write down any more (its process died, or it ended its own run) ended with the run.
    """
    found = []
    has_ended = record.status not in (RunStatus.RUNNING, RunStatus.SCHEDULED)
    for name, text in facts.items():
        number = name.removeprefix(_CELL)
        if not name.startswith(_CELL) or not number.isdecimal():
            continue
        try:
            told = json.loads(text)
        except ValueError:
            continue
        if isinstance(told, dict):
            if has_ended and "ended_at" not in told:
                told = {"status": record.status.value, **told, "ended_at": seconds(record.ended_at)}
            found.append({"n": int(number), **told, "source": facts.get(f"{name}.source", "")})
    return sorted(found, key=lambda cell: int(cell["n"]) if isinstance(cell["n"], int) else 0)


def run_snapshot(
    record: RunRecord,
    facts: Mapping[str, str],
    *,
    health: Health | None = None,
    may_write: bool = False,
    may_admin: bool = False,
    dashboard_link: str | None = None,
) -> dict[str, Any]:
    """Return all that a panel says of a run beside its points, as JSON."""
    return {
        "run_id": record.key.run_id,
        "run_name": record.run_name,
        "owner": record.owner,
        "project": record.project_name,
        "fqn": f"{record.owner}/{record.project_name}/{record.run_name}",
        "status": record.status.value,
        "created_by": record.created_by,
        "started_at": seconds(record.started_at),
        "ended_at": seconds(record.ended_at),
        "last_seen_at": seconds(record.last_seen_at),
        "description": record.description,
        "error": record.error,
        "traceback": facts.get(_TRACEBACK, ""),
        "params": {name: _param_json(name, value) for name, value in record.params.items()},
        "tags": dict(record.tags),
        "metrics": {name: _metric_json(metric) for name, metric in record.metrics.items()},
        "cells": cells(record, facts),
        "facts": {name: text for name, text in facts.items() if not name.startswith(_CELL) and name != _TRACEBACK},
        "health": health_json(health),
        "dashboard_link": dashboard_link,
        "may_write": may_write,
        "may_admin": may_admin,
    }
