"""``mlfoundry show --metric``: curves with their least, greatest and last value, and their points for programs."""

from __future__ import annotations

import csv
import io
import json
import math

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import mlfoundry
from mlfoundry.cli import curves, main, output, plot
from mlfoundry.records import Series

LOSS = [2.5, 1.0, math.nan, 0.5, math.inf, 0.75]


@pytest.fixture
def run(home):
    with mlfoundry.get_client(home, user="ann").create_run(
        "iris", "svm", log_system_metrics=False, capture=False
    ) as run:
        for step, value in enumerate(LOSS):
            run.log_metrics({"loss": value, "acc": float(step)}, step=step * 1000, timestamp=1e9 + step)
        run._journal.log_system({"system/cpu/percent": 12.5})
    return run


@pytest.fixture
def cli(home):
    def call(*args, code=0):
        result = CliRunner().invoke(main, ["--user", "ann", "show", "iris/svm", *args])
        assert result.exit_code == code, result.output
        return result.stdout if code == 0 else result.stderr

    return call


def series(values, steps=None):
    values = np.array(values, np.float64)
    steps = np.arange(len(values)) if steps is None else np.array(steps)
    return Series("m", steps, steps * 1_000_000, values, len(values))


def test_a_curve_says_its_least_greatest_and_last_value_and_where(run, cli):
    name, facts, *drawn = cli("--metric", "loss").splitlines()
    assert name == "loss"
    assert facts == (
        "  6 points   last 0.75 (step 5,000)   min 0.5 (step 3,000)   max 2.5 (step 0)   2 NaN or infinite, not drawn"
    )
    assert len(drawn) == plot.HEIGHT + 2
    assert drawn[0].startswith("  2.5 ┤")
    assert drawn[plot.HEIGHT - 1].startswith("  0.5 ┤")
    assert drawn[-1].split() == ["0", "5,000"]


def test_several_metrics_and_system_metrics_are_drawn_in_the_order_given(run, cli):
    text = cli("--metric", "system/cpu/percent", "--metric", "acc")
    assert text.index("system/cpu/percent") < text.index("acc")
    assert "1 point   last 12.5" in text


def test_points_as_json_are_all_points(run, cli):
    found = json.loads(cli("--metric", "loss", "--metric", "acc", "--json"), parse_constant=pytest.fail)
    assert found["run"] == {"run_id": run.run_id, "fqn": "ann/iris/svm"}
    loss = found["metrics"]["loss"]
    assert loss["values"] == [2.5, 1.0, "NaN", 0.5, "Infinity", 0.75]
    assert loss["steps"] == [0, 1000, 2000, 3000, 4000, 5000]
    assert loss["times"][1] == "2001-09-09T01:46:41.000000Z"
    assert list(found["metrics"]) == ["loss", "acc"]


def test_points_as_csv_are_rows(run, cli):
    rows = list(csv.DictReader(io.StringIO(cli("--metric", "loss", "--csv"))))
    assert [row["value"] for row in rows] == ["2.5", "1.0", "NaN", "0.5", "Infinity", "0.75"]
    assert rows[0] == {"metric": "loss", "step": "0", "time": "2001-09-09T01:46:40.000000Z", "value": "2.5"}


def test_wrong_use_is_told(run, cli):
    assert "has no points of a metric 'los'. Did you mean loss?" in cli("--metric", "los", code=3)
    assert "--csv prints the points of a --metric" in cli("--csv", code=2)
    cli("--csv", "--metric", "loss", "--json", code=2)


def test_a_metric_that_was_never_finite_is_told_and_not_drawn(home, cli):
    client = mlfoundry.get_client(home, user="ann")
    with client.create_run("iris", "svm", log_system_metrics=False, capture=False) as run:
        run.log_metrics({"loss": math.nan})
    assert cli("--metric", "loss").splitlines() == [
        "loss",
        "  1 point   last NaN (step 0)   1 NaN or infinite, not drawn",
    ]


def test_a_terminal_without_braille_gets_stars(run, monkeypatch):
    assert curves._shows_braille()
    shown = CliRunner(charset="latin-1").invoke(main, ["--user", "ann", "show", "iris/svm", "--metric", "acc"])
    assert shown.exit_code == 0
    assert "*" in shown.stdout
    assert "\\u" not in shown.stdout


@pytest.mark.parametrize("width", [40, 60, 120])
def test_curves_fit_the_terminal(run, cli, monkeypatch, width):
    monkeypatch.setattr(output, "width", lambda: width)
    assert max(map(len, cli("--metric", "loss").splitlines())) <= width


# -- the drawing ---------------------------------------------------------------------------------


def body(values, steps=None):
    """Return what stands behind the axis, drawn with stars."""
    lines = plot.curve(series(values, steps), 30, braille=False).splitlines()
    margin = lines[1].index("|") + 1
    return [line[margin:] for line in lines[: plot.HEIGHT]]


def test_a_rising_line_goes_from_the_lower_left_to_the_upper_right():
    lines = body(range(100))
    starts = [line.index("*") for line in lines]
    assert starts == sorted(starts, reverse=True)
    assert starts[-1] == 0
    assert len(lines[0]) == max(map(len, lines))


def test_a_peak_of_one_point_among_many_is_seen():
    lines = body([1000.0 if i == 5_050 else 0.0 for i in range(10_000)])
    assert "*" in lines[0]
    assert abs(lines[0].index("*") - len(lines[-1]) / 2) <= 1


def test_points_lie_by_their_steps_and_not_by_their_number():
    lines = body([0.0, 1.0, 1.0], steps=[0, 10, 1000])
    assert lines[0].startswith("*")


@pytest.mark.parametrize(
    "values", [[1.0], [0.5, 0.5, 0.5], [-1e308, 1e308], [5e-324, 0.0], [1e300, 1e300 * (1 + 1e-15)]]
)
def test_extreme_and_equal_values_are_drawn(values):
    lines = body(values)
    assert len(lines) == plot.HEIGHT
    assert any("*" in line for line in lines)
    if values[0] != values[-1]:
        assert "*" in lines[0]
        assert "*" in lines[-1]


def test_braille_dots_are_where_the_points_are():
    top, *_, bottom = plot.curve(series([0.0, 1.0]), 20).splitlines()[: plot.HEIGHT]
    assert ord(bottom[bottom.index("┤") + 1]) & 0x40
    assert ord(top[-1]) & 0x08


# -- a series on its own -------------------------------------------------------------------------


def test_a_series_becomes_a_frame_of_its_points(run):
    frame = run.client.get_run("iris/svm").get_metrics("loss")["loss"].to_pandas()
    assert frame.columns.tolist() == ["step", "time", "value"]
    assert frame["step"].tolist() == [0, 1000, 2000, 3000, 4000, 5000]
    assert frame.loc[0, "time"] == pd.Timestamp("2001-09-09 01:46:40", tz="UTC")
    assert frame["value"].tolist()[:2] == [2.5, 1.0]
    assert math.isnan(frame.loc[2, "value"])
    empty = series([]).to_pandas()
    assert (len(empty), empty.columns.tolist()) == (0, ["step", "time", "value"])
