"""What is sent to a panel: frames of bytes and JSON, from records alone."""

import dataclasses
import json
import math
import struct
import time
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlfoundry.panels import frames, module_names, source
from mlfoundry.records import (
    Collaborator,
    Health,
    MetricSummary,
    Permission,
    ProjectRecord,
    RunKey,
    RunRecord,
    RunStatus,
    Series,
)

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PROJECT = ProjectRecord(7 << 50, "ann", "demo", AT, Permission.ADMIN, run_count=2, running_count=1, last_run_at=AT)


def metric(last, count=1, least=None, greatest=None):
    return MetricSummary(count, last, 3, AT, last if least is None else least, last if greatest is None else greatest)


def record(run_id="a" * 32, **changes):
    run = RunRecord(RunKey(1, run_id), "ann", "demo", "svm", RunStatus.FINISHED, "ann", AT, AT, AT)
    return dataclasses.replace(run, **changes)


def series(name, values, *, count=None, start=0):
    values = np.asarray(values, np.float64)
    steps = np.arange(start, start + len(values), dtype=np.int64)
    times = 1_700_000_000_000_000 + steps * 1_000_000
    return Series(name, steps, times, values, len(values) if count is None else count)


def read(frame):
    """Read a frame as its description says, independently of the code that made it."""
    (length,) = struct.unpack_from("<I", frame)
    at = 4 + length
    assert at % 8 == 0
    header = json.loads(frame[4:at])
    columns = {}
    for told in header["columns"]:
        kind = np.dtype("<" + told["type"])
        columns[told["name"]] = np.frombuffer(frame, kind, told["length"], at)
        at += math.ceil(kind.itemsize * told["length"] / 8) * 8
    assert at == len(frame)
    return header, columns


def table(frame):
    """Return a runs frame as rows of Python values."""
    header, columns = read(frame)
    rows = [{} for _ in columns["run_id"]]
    for told in header["columns"]:
        for row, value in zip(rows, columns[told["name"]].tolist(), strict=True):
            row[told["name"]] = value
    for row in rows:
        for told in header["columns"]:
            if "dict" in told:
                row[told["name"]] = told["dict"][row[told["name"]]] if row[told["name"]] else None
            elif "has" in told and not row[told["has"]]:
                row[told["name"]] = None
    return [{name: value for name, value in row.items() if not name.startswith("has:")} for row in rows]


def runs_frame(*records, **given):
    return frames.runs_frame(PROJECT, records, offset=0, total=len(records), **given)


def test_a_frame_begins_its_data_at_a_multiple_of_eight_whatever_its_header_says():
    for extra in ["", "x", "xx", "ü" * 7, "\n" * 11]:
        header, columns = read(
            frames.frame(
                {"kind": extra}, [({"name": "a", "type": "u1"}, [1, 2, 3]), ({"name": "b", "type": "f8"}, [0.5])]
            )
        )
        assert header["kind"] == extra
        assert columns["a"].tolist() == [1, 2, 3]
        assert columns["b"].tolist() == [0.5]


def test_whole_points_hold_all_series_one_after_another_with_units_and_axes_of_system_metrics():
    header, columns = read(
        frames.whole_points(
            "r" * 32, [series("val/loss", [0.5, math.nan, math.inf])], [series("system/cpu/percent", [10.0], count=900)]
        )
    )
    assert (header["kind"], header["run"], header["whole"]) == ("points", "r" * 32, True)
    assert header["series"] == [
        {"name": "val/loss", "system": False, "n": 3, "count": 3, "unit": "", "group": "val", "axis": None},
        {
            "name": "system/cpu/percent",
            "system": True,
            "n": 1,
            "count": 900,
            "unit": "%",
            "group": "CPU",
            "axis": [0.0, 100.0],
        },
    ]
    assert columns["steps"].tolist() == [0, 1, 2, 0]
    assert columns["times"].tolist()[:2] == [1_700_000_000.0, 1_700_000_001.0]
    np.testing.assert_array_equal(columns["values"], [0.5, math.nan, math.inf, 10.0])


def test_new_points_of_32_traces_take_less_than_2_kilobytes():
    new = [(place, 600, series(f"metric-{place}", [0.25], start=600)) for place in range(32)]
    frame = frames.new_points("r" * 32, new)
    header, columns = read(frame)
    assert len(frame) < 2000
    assert header["whole"] is False
    assert columns["index"].tolist() == list(range(32))
    assert set(columns["since"].tolist()) == {600}
    assert set(columns["n"].tolist()) == {1}
    assert set(columns["steps"].tolist()) == {600.0}


def test_a_table_of_runs_gives_back_every_value():
    rows = table(
        runs_frame(
            record(params={"lr": 0.1, "kernel": "rbf", "deep": True}, metrics={"loss": metric(0.1)}, tags={"t": "x"}),
            record(
                "b" * 32, status=RunStatus.RUNNING, ended_at=None, error="ValueError: <b>", params={"lr": 1, "n": 3}
            ),
        )
    )
    first, second = rows
    assert (first["run_id"], second["run_id"]) == ("a" * 32, "b" * 32)
    assert (first["status"], second["status"]) == ("FINISHED", "RUNNING")
    assert (first["params.lr"], second["params.lr"]) == (0.1, 1)
    assert (first["params.kernel"], second["params.kernel"]) == ("rbf", None)
    assert (first["params.deep"], second["params.deep"]) == ("True", None)
    assert (first["params.n"], second["params.n"]) == (None, 3)
    assert (first["metrics.loss"], second["metrics.loss"]) == (0.1, None)
    assert (first["tags.t"], second["tags.t"]) == ("x", None)
    assert first["started_at"] == AT.timestamp()
    assert math.isnan(second["ended_at"])
    assert (first["error"], second["error"]) == (None, "ValueError: <b>")


def test_a_metric_that_is_not_a_number_is_told_from_one_that_is_absent():
    rows = table(runs_frame(record(metrics={"loss": metric(math.nan)}), record("b" * 32)))
    assert math.isnan(rows[0]["metrics.loss"])
    assert rows[1]["metrics.loss"] is None


def test_a_param_that_is_a_number_in_one_run_and_text_in_another_is_text_in_all():
    rows = table(runs_frame(record(params={"lr": 0.1}), record("b" * 32, params={"lr": "auto"})))
    assert [row["params.lr"] for row in rows] == ["0.1", "auto"]


def test_a_whole_number_that_no_double_holds_is_sent_as_text():
    rows = table(runs_frame(record(params={"seed": 2**63 + 1})))
    assert rows[0]["params.seed"] == str(2**63 + 1)


def test_least_and_greatest_of_metrics_are_columns_when_asked_for():
    run = record(metrics={"loss": metric(0.5, least=0.25, greatest=2.0)})
    rows = table(runs_frame(run, extremes=True))
    assert (rows[0]["min(metrics.loss)"], rows[0]["max(metrics.loss)"]) == (0.25, 2.0)
    assert "min(metrics.loss)" not in table(runs_frame(run))[0]


@given(st.lists(st.floats() | st.none(), min_size=1, max_size=20))
def test_every_number_of_a_table_arrives_bit_for_bit(values):
    records = [
        record(f"{i:032x}", metrics={} if value is None else {"m": metric(value)}) for i, value in enumerate(values)
    ]
    rows = table(runs_frame(*records))
    for row, value in zip(rows, values, strict=True):
        if value is None:
            assert row.get("metrics.m") is None
        elif math.isnan(value):
            assert math.isnan(row["metrics.m"])
        else:
            assert struct.pack("<d", row["metrics.m"]) == struct.pack("<d", value)


def test_more_than_255_texts_still_find_their_codes():
    rows = table(runs_frame(*[record(f"{i:032x}", run_name=f"run-{i}") for i in range(700)]))
    assert [row["name"] for row in rows] == [f"run-{i}" for i in range(700)]


def test_an_empty_table_is_a_frame_as_well():
    header, _ = read(runs_frame())
    assert header["total"] == 0
    assert header["project"]["project_id"] == str(7 << 50)


def test_ten_thousand_runs_of_30_columns_take_at_most_3_megabytes_and_a_third_of_a_second():
    random = np.random.default_rng(1)
    values = random.random((10_000, 10))
    records = [
        record(
            f"{i:032x}",
            run_name=f"svm-{i}",
            params={f"p{k}": [0.1, 0.01, "rbf", 3][(i + k) % 4 if k % 4 == 2 else k % 4] for k in range(12)},
            metrics={f"m{k}": metric(float(values[i, k])) for k in range(10)},
        )
        for i in range(10_000)
    ]
    began = time.process_time()
    frame = runs_frame(*records)
    took_s = time.process_time() - began
    assert len(frame) < 3_000_000
    assert took_s < 1.0  # 0.2 s on a machine of one's own


def test_a_snapshot_is_json_that_browsers_can_read_also_with_numbers_that_are_not_finite():
    facts = {
        "cell.0002": '{"wall_s": 2.0, "status": "ok"}',
        "cell.0002.source": "fit()",
        "cell.0001": '{"wall_s": 1.0}',
        "cell.0003": "not json",
        "error.traceback": "Traceback…",
        "git.commit": "abc",
    }
    run = record(
        params={"lr": 0.1, "k": "rbf", "n": math.nan, "flag": True, "none": None},
        metrics={"loss": metric(math.inf, least=-math.inf)},
    )
    health = Health("ok", 5, 0, 0, 0, 0, "", 0.123456)
    told = frames.run_snapshot(run, facts, health=health, may_write=True)
    again = json.loads(json.dumps(told, allow_nan=False))
    assert again["params"] == {
        "lr": ["0.1", 0.1],
        "k": ["rbf", None],
        "n": ["nan", "NaN"],
        "flag": ["True", None],
        "none": [again["params"]["none"][0], None],
    }
    assert (again["metrics"]["loss"]["last"], again["metrics"]["loss"]["min"]) == ("Infinity", "-Infinity")
    assert [(cell["n"], cell["wall_s"], cell["source"]) for cell in again["cells"]] == [(1, 1.0, ""), (2, 2.0, "fit()")]
    assert again["facts"] == {"git.commit": "abc"}
    assert again["traceback"] == "Traceback…"
    assert again["health"]["tracker_cpu_s"] == 0.1235
    assert (again["may_write"], again["may_admin"]) == (True, False)
    assert again["fqn"] == "ann/demo/svm"


@pytest.mark.parametrize("status", [RunStatus.KILLED, RunStatus.FAILED, RunStatus.FINISHED])
def test_a_cell_whose_end_nobody_wrote_down_ended_with_its_run(status):
    facts = {
        "cell.0001": '{"started_at": 5.0, "ended_at": 6.0, "status": "FINISHED"}',
        "cell.0002": '{"started_at": 7.0}',
    }
    first, second = frames.cells(record(status=status), facts)
    assert (first["status"], first["ended_at"]) == ("FINISHED", 6.0)
    assert (second["status"], second["ended_at"]) == (status.value, AT.timestamp())
    (_, running) = frames.cells(record(status=RunStatus.RUNNING, ended_at=None), facts)
    assert "ended_at" not in running
    assert "status" not in running


ODD_CELLS = {
    "deep": "[" * 5000,
    "deep in a name": '{"a":' * 900 + "1" + "}" * 900,
    "NaN": '{"wall_s": NaN}',
    "infinite": '{"wall_s": 1e999}',
    "a list with an infinity": '{"a": [[-Infinity]]}',
    "half a surrogate pair": '{"status": "\\ud800"}',
    "half a surrogate pair as a name": '{"\\udfff": 1}',
    "many digits": '{"wall_s": ' + "9" * 5000 + "}",
    "a list": "[1]",
    "nothing": "",
}


@pytest.mark.parametrize("odd", ODD_CELLS.values(), ids=ODD_CELLS)
def test_a_cell_that_no_other_json_can_hold_is_left_out_and_hides_nothing_else(odd):
    facts = {"cell.0001": odd, "cell.0001.source": "x = 1", "cell.0002": '{"wall_s": 2.0, "status": "über"}'}
    told = frames.run_snapshot(record(), facts)
    assert [(cell["n"], cell["wall_s"]) for cell in told["cells"]] == [(2, 2.0)]
    assert json.loads(json.dumps(told, ensure_ascii=False, allow_nan=False).encode()) == told


def test_a_collaborator_says_user_permission_and_whether_the_project_is_theirs():
    told = frames.collaborator_json(Collaborator("bob", Permission.WRITE, False, AT))
    assert told == {"user": "bob", "permission": "WRITE", "is_owner": False, "added_at": AT.timestamp()}


def test_every_module_of_the_front_end_can_be_read_and_imports_only_what_is_there():
    import re

    names = module_names()
    assert "frames" in names
    for name in names:
        for other in re.findall(r'from "\./([\w-]+)\.js"', source(name)):
            assert other in names, f"{name}.js imports {other}.js, which is not there"


def test_a_module_that_is_not_there_is_said():
    with pytest.raises(FileNotFoundError):
        source("nothing")
