"""The tables of an export: points and runs, as CSV or as Parquet.

CSV is UTF-8 with a header; missing values and None are empty cells, booleans ``true`` and ``false``, times
UTC with microseconds, numbers that are not finite ``NaN``, ``Infinity`` and ``-Infinity``; all others have as
many digits as bring them back bit for bit. A text that a spreadsheet would run as a formula gets a leading
apostrophe. Parquet keeps all of that as types. A table holds a bounded number of rows in memory.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import MissingExtra
from . import documents

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..records import Series

BLOCK = 65_536
# What spreadsheets take for the beginning of a formula, in its full-width forms as well.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
ATTRIBUTES = {
    "run_id": "str", "run_name": "str", "status": "str", "created_by": "str", "started_at": "time",
    "ended_at": "time", "duration_s": "float", "description": "str", "error": "str", "deleted_at": "time",
}  # fmt: skip
_NOT_FINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


class PointTable(Protocol):
    """Where points go."""

    def write(self, run_id: str, run_name: str, series: Series) -> None:
        """Append the points of one metric of a run."""

    def close(self) -> None:
        """Finish the file."""


class RunTable(Protocol):
    """Where runs go, a row each."""

    def write(self, row: Mapping[str, Any]) -> None:
        """Append a run: column name to value, None for what it lacks."""

    def close(self) -> None:
        """Finish the file."""


def guarded(text: str) -> str:
    """Return text that no spreadsheet runs; what is a plain number stays as it is.

    >>> guarded("=1+1"), guarded("-1.5"), guarded("svm")
    ("'=1+1", '-1.5', 'svm')
    """
    if not text.startswith(_FORMULA):
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return f"'{text}" if text != text.strip() else text


def point_table(folder: Path, name: str, kind: str) -> PointTable:
    """Open a table of points; `kind` is ``csv`` or ``parquet``."""
    return _CsvPoints(folder / f"{name}.csv") if kind == "csv" else _ParquetPoints(folder / f"{name}.parquet")


def run_table(folder: Path, columns: Mapping[str, str], kind: str) -> RunTable:
    """Open the table of runs; `columns` gives the type of each: ``str int float bool time``."""
    return _CsvRuns(folder / "runs.csv", columns) if kind == "csv" else _ParquetRuns(folder / "runs.parquet", columns)


def settle(path: Path) -> None:
    """Force a file or folder to the disk."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


# -- the columns of the table of runs ------------------------------------------------------------


class ColumnTypes:
    """Which columns a table of runs needs, and of which type each is, learnt run by run."""

    def __init__(self) -> None:
        self._params: dict[str, set[str]] = {}
        self._metrics: set[str] = set()
        self._tags: set[str] = set()

    def learn(self, run: Mapping[str, Any]) -> None:
        """Take in a run as `documents.run` gives it."""
        for name, kind in run["param_types"].items():
            self._params.setdefault(name, set()).add(_width(run["params"][name]) if kind == "int" else kind)
        self._metrics.update(run["metrics"])
        self._tags.update(run["tags"])

    def columns(self) -> dict[str, str]:
        """Return the type of each column, in order."""
        return {
            **ATTRIBUTES,
            **{f"params.{name}": _common(kinds) for name, kinds in self._params.items()},
            **{f"metrics.{name}": "float" for name in sorted(self._metrics)},
            **{f"tags.{name}": "str" for name in sorted(self._tags)},
        }


def _width(number: int) -> str:
    """Return which ints this one is of: those that a float holds exactly, those of 64 bits, or larger ones."""
    if abs(number) <= 2**53:
        return "int"
    return "int64" if -(2**63) <= number < 2**63 else "large"


def _common(kinds: set[str]) -> str:
    """Return the narrowest type that holds values of all these types and changes none."""
    kinds = kinds - {"none"}
    for allowed, common in (({"bool"}, "bool"), ({"int", "int64"}, "int"), ({"int", "float"}, "float")):
        if kinds and kinds <= allowed:
            return common
    return "str"


def run_row(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of a run as `documents.run` gives it: column name to Python value."""
    row: dict[str, Any] = {name: run[name] for name in ATTRIBUTES if name != "run_name"}
    row["run_name"] = run["name"]
    for name, value in run["params"].items():
        is_number = run["param_types"][name] == "float" and isinstance(value, str)
        row[f"params.{name}"] = _NOT_FINITE[value] if is_number else value
    for name, metric in run["metrics"].items():
        row[f"metrics.{name}"] = _NOT_FINITE[metric["last"]] if isinstance(metric["last"], str) else metric["last"]
    for name, text in run["tags"].items():
        row[f"tags.{name}"] = text
    return row


# -- CSV -----------------------------------------------------------------------------------------


class _Csv:
    def __init__(self, path: Path, header: list[str]) -> None:
        self._path = path
        self._file = path.open("x", encoding="utf-8", errors="backslashreplace", newline="")
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._writer.writerow([guarded(name) for name in header])

    def close(self) -> None:
        self._file.close()


class _CsvPoints(_Csv):
    def __init__(self, path: Path) -> None:
        super().__init__(path, ["run_id", "run_name", "metric", "step", "time", "value"])

    def write(self, run_id: str, run_name: str, series: Series) -> None:
        head = (run_id, guarded(run_name), guarded(series.name))
        for start in range(0, len(series.steps), BLOCK):
            self._writer.writerows((*head, *cells) for cells in csv_rows(series, start))


def time_texts(times: NDArray[np.int64]) -> NDArray[np.str_]:
    """Return points in time, microseconds since 1970, as texts like ``2025-01-31T12:00:00.000000Z``."""
    import numpy as np

    return np.datetime_as_string(times.astype("datetime64[us]"), unit="us", timezone="UTC")


def csv_rows(series: Series, start: int) -> Iterator[tuple[int, str, str]]:
    """Yield step, time and value of `BLOCK` points from one on."""
    block = slice(start, start + BLOCK)
    times = time_texts(series.times[block])
    for step, time, value in zip(
        series.steps[block].tolist(), times.tolist(), series.values[block].tolist(), strict=True
    ):
        yield step, time, _number_text(value)


def _number_text(value: float) -> str:
    number = documents.number(value)
    return number if isinstance(number, str) else repr(number)


class _CsvRuns(_Csv):
    def __init__(self, path: Path, columns: Mapping[str, str]) -> None:
        super().__init__(path, list(columns))
        self._columns = list(columns)

    def write(self, row: Mapping[str, Any]) -> None:
        self._writer.writerow([_cell(row.get(name)) for name in self._columns])


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return guarded(value)
    return _number_text(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False)


# -- Parquet -------------------------------------------------------------------------------------


def pyarrow() -> tuple[Any, Any]:
    """Return pyarrow and its Parquet module.

    Raises:
        MissingExtra: It is not installed.
    """
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as error:
        raise MissingExtra("pyarrow", "exporting to Parquet (--format csv needs nothing)") from error


class _ParquetPoints:
    def __init__(self, path: Path) -> None:
        self._pa, pq = pyarrow()
        text, time = self._pa.string(), self._pa.timestamp("us", tz="UTC")
        self._schema = self._pa.schema(
            {
                "run_id": text,
                "run_name": text,
                "metric": text,
                "step": self._pa.int64(),
                "time": time,
                "value": self._pa.float64(),
            }
        )
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")
        self._held: list[Any] = []
        self._rows = 0

    def write(self, run_id: str, run_name: str, series: Series) -> None:
        pa = self._pa
        for start in range(0, len(series.steps), BLOCK):
            block = slice(start, start + BLOCK)
            steps = series.steps[block]
            texts = [pa.repeat(pa.scalar(each, pa.string()), len(steps)) for each in (run_id, run_name, series.name)]
            times = pa.array(series.times[block]).cast(pa.timestamp("us", tz="UTC"))
            columns = [*texts, pa.array(steps), times, pa.array(series.values[block])]
            self._held.append(pa.table(columns, schema=self._schema))
            self._rows += len(steps)
            if self._rows >= BLOCK:
                self._flush()

    def _flush(self) -> None:
        if self._held:
            self._writer.write_table(self._pa.concat_tables(self._held))
        self._held, self._rows = [], 0

    def close(self) -> None:
        self._flush()
        self._writer.close()


class _ParquetRuns:
    def __init__(self, path: Path, columns: Mapping[str, str]) -> None:
        self._pa, pq = pyarrow()
        pa = self._pa
        types = {
            "str": pa.string(),
            "int": pa.int64(),
            "float": pa.float64(),
            "bool": pa.bool_(),
            "time": pa.timestamp("us", tz="UTC"),
        }
        self._columns = columns
        self._schema = pa.schema([(name, types[kind]) for name, kind in columns.items()])
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")
        self._held: list[dict[str, Any]] = []

    def write(self, row: Mapping[str, Any]) -> None:
        self._held.append({name: _typed(row.get(name), kind) for name, kind in self._columns.items()})
        if len(self._held) >= 256:
            self._flush()

    def _flush(self) -> None:
        if self._held:
            self._writer.write_table(self._pa.Table.from_pylist(self._held, schema=self._schema))
        self._held = []

    def close(self) -> None:
        self._flush()
        self._writer.close()


def _typed(value: Any, kind: str) -> Any:
    if value is None:
        return None
    if kind == "str":
        return value if isinstance(value, str) else _cell(value)
    if kind == "float":
        return float(value)
    if kind == "time":
        from datetime import datetime

        return datetime.fromisoformat(value)
    return value
