"""`mlfoundry export`: what comes out is what was logged, in both formats, whole or not at all."""

from __future__ import annotations

import csv
import json
import math
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

import mlfoundry
from mlfoundry.cli import main, tables

VALUES = [math.nan, math.inf, -math.inf, -0.0, 0.0, 5e-324, 1.7976931348623157e308, 0.1, 1 / 3, -1.5]
FORMULA = "=cmd|' /C calc'!A0"


@pytest.fixture
def client(home):
    return mlfoundry.get_client(home, user="ann")


@pytest.fixture
def cli(home):
    def call(*args, code=0, **more):
        result = CliRunner().invoke(main, ["--user", "ann", *map(str, args)], **more)
        assert result.exit_code == code, result.output
        return result

    return call


def _run(client, name="r", **more):
    return client.create_run("demo", name, log_system_metrics=False, capture=False, **more)


@pytest.fixture
def three(client):
    """Three runs with every kind of number, text and param."""
    for i in range(3):
        with _run(client, f"run-{i}", tags={"t": FORMULA, "n": "-1.5"}, description='two\nlines, "quoted"') as run:
            run.log_params({"lr": [0.1, math.inf, math.nan][i], "n": 2**53 + i, "mix": [1, "a", None][i], "on": i > 0})
            run.log_params({"whole": [1, 2.5, 3][i], "huge": 2**70, "list": [1, "x"], "text": "NaN"})
            for step, value in enumerate(VALUES):
                run.log_metrics(
                    {"@loss": value, "acc": value if step % 2 else i}, step=step - 3, timestamp=1e9 + step / 3
                )
            run._journal.log_system({"system/cpu/percent": 12.5})
            run.log_text(f"file {i}", "a/b.txt")
    return client


def _bits(values):
    return np.asarray(values, np.float64).view(np.int64).tolist()


def _stored(client, system=False):
    """All points as the store has them: (run id, metric, step, µs, bits of the value)."""
    found = []
    for run in client.list_runs("demo"):
        table = run.get_system_metrics() if system else run.get_metrics()
        for name, series in table.items():
            rows = zip(series.steps.tolist(), series.times.tolist(), _bits(series.values), strict=True)
            found += [(run.run_id, name, *row) for row in rows]
    return sorted(found)


def _from_csv(path):
    unguarded = lambda text: text.removeprefix("'")  # noqa: E731
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    times = np.array([row["time"].removesuffix("Z") for row in rows], "datetime64[us]").astype(np.int64).tolist()
    values = _bits([float(row["value"]) for row in rows])
    names = [(row["run_id"], unguarded(row["metric"]), int(row["step"])) for row in rows]
    return sorted((*name, time, value) for name, time, value in zip(names, times, values, strict=True))


def _from_parquet(path):
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    times = table["time"].cast("int64").to_pylist()
    columns = [table[name].to_pylist() for name in ("run_id", "metric", "step")]
    return sorted(zip(*columns, times, _bits(table["value"].to_numpy()), strict=True))


READERS = {"csv": _from_csv, "parquet": _from_parquet}


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_every_point_of_three_runs_comes_back_bit_for_bit(three, cli, tmp_path, kind):
    cli("export", "demo", "--to", tmp_path / "out", "--format", kind)
    stored = _stored(three)
    assert len(stored) == 3 * 2 * len(VALUES)
    assert READERS[kind](tmp_path / f"out/points.{kind}") == stored
    assert READERS[kind](tmp_path / f"out/system_points.{kind}") == _stored(three, system=True)


def test_the_list_of_runs_is_json_that_anybody_reads(three, cli, tmp_path):
    cli("export", "demo", "--to", tmp_path / "out", "--format", "csv")
    runs = json.loads((tmp_path / "out/runs.json").read_text(), parse_constant=pytest.fail)
    assert [run["name"] for run in runs] == ["run-0", "run-1", "run-2"]
    assert [run["params"]["lr"] for run in runs] == [0.1, "Infinity", "NaN"]
    assert runs[0]["param_types"]["lr"] == "float"
    assert runs[0]["param_types"]["text"] == "str"
    assert runs[0]["params"]["huge"] == 2**70
    assert runs[0]["tags"] == {"n": "-1.5", "t": FORMULA}
    assert runs[0]["artifacts"][0]["path"] == "a/b.txt"
    assert runs[0]["facts"] == three.get_run("demo/run-0").get_facts()


def test_the_table_of_runs_as_csv_keeps_numbers_and_disarms_formulas(three, cli, tmp_path):
    cli("export", "demo", "--to", tmp_path / "out", "--format", "csv")
    with (tmp_path / "out/runs.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["params.lr"] for row in rows] == ["0.1", "Infinity", "NaN"]
    assert [row["params.mix"] for row in rows] == ["1", "a", ""]
    assert [row["params.on"] for row in rows] == ["false", "true", "true"]
    assert rows[0]["tags.t"] == f"'{FORMULA}"
    assert rows[0]["tags.n"] == "-1.5"
    assert rows[0]["metrics.@loss"] == "-1.5"
    assert rows[0]["description"] == 'two\nlines, "quoted"'
    assert "metrics.acc" in rows[0]


def test_the_table_of_runs_as_parquet_has_types(three, cli, tmp_path):
    import pyarrow.parquet as pq

    cli("export", "demo", "--to", tmp_path / "out", "--format", "parquet")
    table = pq.read_table(tmp_path / "out/runs.parquet")
    types = {field.name: str(field.type) for field in table.schema}
    assert types["params.lr"] == types["params.whole"] == types["metrics.acc"] == "double"
    assert types["params.n"] == "int64"
    assert types["params.on"] == "bool"
    assert types["params.huge"] == types["params.mix"] == types["params.list"] == "string"
    assert types["started_at"] == "timestamp[us, tz=UTC]"
    assert table["params.n"].to_pylist() == [2**53, 2**53 + 1, 2**53 + 2]
    assert table["params.mix"].to_pylist() == ["1", "a", None]
    assert _bits(table["params.lr"].to_pylist()) == _bits([0.1, math.inf, math.nan])
    assert table["tags.t"].to_pylist()[0] == FORMULA


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-cmd", "@sum", "\tx", "\rx", "＝1", "-1+cmd", "-1\t"])
def test_a_text_that_begins_like_a_formula_gets_an_apostrophe(text):
    assert tables.guarded(text) == f"'{text}"


@pytest.mark.parametrize("text", ["-1.5", "+2e3", "svm", "a=b", "", "1-1"])
def test_numbers_and_other_texts_stay_as_they_are(text):
    assert tables.guarded(text) == text


def test_artifacts_come_along_when_asked_for(three, cli, tmp_path):
    told = json.loads(cli("export", "demo", "--to", tmp_path / "out", "--artifacts", "--json").stdout)
    run = three.get_run("demo/run-1")
    assert (tmp_path / f"out/artifacts/{run.run_id}/a/b.txt").read_text() == "file 1"
    assert (told["runs"], told["points"], told["artifacts"]) == (3, 60, 3)
    assert told["folder"] == str(tmp_path / "out")
    assert json.loads((tmp_path / "out/export.json").read_text())["files"] == told["files"]


def test_an_export_is_not_written_over_without_force(three, cli, tmp_path):
    target = tmp_path / "deep/out"
    cli("export", "demo", "--to", target, "--format", "csv")
    before = (target / "runs.json").stat().st_ino
    assert "--force" in cli("export", "demo", "--to", target, code=1).stderr
    assert (target / "runs.json").stat().st_ino == before
    cli("export", "demo", "--to", target, "--force", "--no-system-metrics", "--format", "parquet")
    assert sorted(path.name for path in target.iterdir()) == [
        "export.json", "points.parquet", "runs.json", "runs.parquet",
    ]  # fmt: skip
    assert [path.name for path in target.parent.iterdir()] == ["out"]


def test_nothing_but_an_export_is_ever_replaced(three, cli, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("years")
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    for name in ("mine", "file"):
        assert "nothing was touched" in cli("export", "demo", "--to", tmp_path / name, "--force", code=1).stderr
    assert (tmp_path / "mine/thesis.txt").read_text() == "years"
    cli("export", "demo", "--to", tmp_path / "empty", "--format", "csv")


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_export_that_fails_half_way_leaves_nothing(three, cli, tmp_path, monkeypatch, error):
    def full(self, run_id, run_name, series):
        raise error

    monkeypatch.setattr(tables._CsvPoints, "write", full)
    code = 130 if isinstance(error, KeyboardInterrupt) else 1
    result = cli("export", "demo", "--to", tmp_path / "out", "--format", "csv", code=code)
    assert list(tmp_path.iterdir()) == []
    assert code == 130 or "No space left on device. Make room" in result.stderr


def test_a_killed_export_never_looks_finished(three, home, tmp_path):
    code = (
        "import os, signal\nfrom mlfoundry.cli import main, export\n"
        "export._put_in_place = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)\n"
        "main()"
    )
    command = [sys.executable, "-c", code, "--user", "ann", "export", "demo", "--to", str(tmp_path / "out")]
    subprocess.run(command, capture_output=True, timeout=30)
    assert [path.name[:9] for path in tmp_path.iterdir()] == [".out.part"]


def test_a_place_where_nothing_can_be_made_is_named_as_it_was_given(three, cli):
    told = cli("export", "demo", "--to", "/proc/x", code=1).stderr
    assert told.startswith("Error: /proc/x cannot be made (No such file or directory). Give another folder.")


def test_parquet_without_pyarrow_tells_how_to_get_it(three, cli, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    result = cli("export", "demo", "--to", tmp_path / "out", "--format", "parquet", code=1)
    assert "pip install pyarrow" in result.stderr
    assert "--format csv" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_export_needs_nothing_that_is_not_installed_and_tells_how_to_get_parquet(three, cli, tmp_path, monkeypatch):
    for name in ("pyarrow", "pandas"):
        monkeypatch.setitem(sys.modules, name, None)
    told = cli("export", "demo", "--to", tmp_path / "out").stdout
    assert "--format parquet (pip install pyarrow) keeps" in told
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files == {"points.csv", "system_points.csv", "runs.csv", "runs.json", "export.json"}
    monkeypatch.delitem(sys.modules, "pyarrow")
    assert "--format parquet keeps their types" in cli("export", "demo", "--to", tmp_path / "with").stdout
    assert "pip install" not in cli("export", "demo", "--to", tmp_path / "asked", "--format", "csv").stdout


def test_a_project_that_is_missing_or_empty(client, cli, tmp_path):
    _run(client).delete()
    cli("export", "none", "--to", tmp_path / "out", code=3)
    assert list(tmp_path.iterdir()) == []
    for kind in ("csv", "parquet"):
        cli("export", "demo", "--to", tmp_path / kind, "--format", kind)
        assert json.loads((tmp_path / kind / "runs.json").read_text()) == []
    told = json.loads(cli("export", "demo", "--to", tmp_path / "deleted", "--view", "deleted", "--json").stdout)
    assert told["runs"] == 1


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_memory_does_not_grow_with_the_number_of_points(client, home, tmp_path, kind):
    """Eight metrics of 100,000 points are 19 MB of numbers at once, and 76 MB of text."""
    code = (
        "import numpy as np\nfrom mlfoundry.cli import export\nfrom mlfoundry.cli import tables\n"
        "from mlfoundry.records import Series\nimport resource, sys, pathlib\n"
        "def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "table = tables.point_table(pathlib.Path(sys.argv[1]), 'points', sys.argv[2])\n"
        "n = 100_000\nstep = np.arange(n)\nseries = Series('m', step, step, np.random.rand(n), n)\n"
        "table.write('r', 'r', series); first = peak()\n"
        "for _ in range(7): table.write('r', 'r', series)\n"
        "table.close(); print(peak() - first)"
    )
    command = [sys.executable, "-c", code, str(tmp_path), kind]
    grown_kib = int(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout)
    assert grown_kib < 10 * 1024
    assert (tmp_path / f"points.{kind}").stat().st_size > 1_000_000
