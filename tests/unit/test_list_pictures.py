"""The pictures of lists and comparisons: they can be kept, so they never say how long ago something was."""

import re
from datetime import timedelta
from types import SimpleNamespace

import numpy as np

import mlfoundry
from mlfoundry.records import Collaborator, Permission
from mlfoundry.results import Comparison
from mlfoundry_jupyter import list_pictures
from tests.unit.test_fallback import HOSTILE, Reader, images, told_lines
from tests.unit.test_panels_frames import AT, PROJECT, metric, record, series

AGES = re.compile(r"\bago\b|just now")


def test_runs_are_a_table_of_the_first_twenty_with_their_number_and_their_times():
    runs = [record(f"{i:032x}", run_name=f"run-{i:02d}-x", started_at=AT + timedelta(minutes=i)) for i in range(25)]
    html, text = list_pictures.runs_picture(PROJECT, runs, 1248)
    for told in (Reader(html).text, text):
        assert "ann/demo: 1,248 runs, 1 running; the first 20:" in told
        assert "run-19-x" in told
        assert "run-20-x" not in told
        assert "2026-03-01 12:19" in told
        assert "started (UTC)" in told
        assert not AGES.search(told)


def test_collaborators_are_a_list_with_their_permissions():
    html, text = list_pictures.collaborators_picture(PROJECT, [Collaborator(HOSTILE, Permission.WRITE, False, AT)])
    assert "WRITE" in text
    assert "script" not in Reader(html).tags
    for told in (Reader(html).text, text):
        assert "2026-03-01 12:00" in told
        assert not AGES.search(told)


def test_projects_are_a_list_with_their_counts():
    html, text = list_pictures.projects_picture([PROJECT])
    for told in (Reader(html).text, text):
        assert "ann/demo" in told
        assert "2026-03-01 12:00" in told
        assert not AGES.search(told)


def compared(count, points=50, name="loss"):
    runs, courses = [], {}
    for i in range(count):
        metrics = {name: metric(0.5 + i), "once": metric(1.0)}
        told = record(f"{i:032x}", run_name=f"run-{i}", params={"lr": i / 10}, metrics=metrics)
        runs.append(SimpleNamespace(record=told, run_id=told.key.run_id, run_name=told.run_name))
        courses[told.key.run_id] = {name: series(name, np.linspace(1, 0, points)), "once": series("once", [1.0])}
    return Comparison(runs), courses


def test_a_comparison_shows_what_differs_and_lays_courses_over_each_other():
    html, text = list_pictures.comparison_picture(*compared(3))
    for told in (Reader(html).text, text):
        assert "param lr" in told
        assert "2.5" in told
    (chart,) = images(html)  # what has one point has no course
    assert len(chart.findall(".//*[@stroke-width='3']")) == 3
    assert Reader(html).text.count("run-2") == 2
    told, lines = told_lines(html)
    assert list(told) == ["run-0", "run-1", "run-2"]
    assert list(told.values()) == lines


def test_a_comparison_of_many_runs_stays_small_and_hostile_names_stay_text():
    html, _ = list_pictures.comparison_picture(*compared(8, 5000, HOSTILE))
    assert len(html.encode()) < 50_000
    assert "script" not in Reader(html).tags
    assert "<script>" in Reader(html).text


def test_the_table_of_runs_and_their_comparison_together_stay_below_50_kilobytes_whatever_was_logged():
    random = np.random.default_rng(0)
    params = {f"param-{i}" * 20: "v" * 200 for i in range(50)}
    metrics = {f"metric-{i}" * 20: metric(0.123456789 + i) for i in range(50)}
    runs = [
        record(f"{i:032x}", run_name=f"run-{i}" * 40, params={**params, "C" * 100: "x" * i}, metrics=metrics)
        for i in range(25)
    ]
    table, _ = list_pictures.runs_picture(PROJECT, runs, 1248)
    some = [SimpleNamespace(record=run, run_id=run.key.run_id, run_name=run.run_name) for run in runs[:8]]
    courses = {run.run_id: {name: series(name, random.random(5000)) for name in metrics} for run in some}
    beside, text = list_pictures.comparison_picture(Comparison(some), courses)
    assert len((table + beside).encode()) < 50_000
    assert "rows are left out" in Reader(beside).text
    assert images(beside)
    assert "metric-49" in text


def test_what_a_client_shows_as_html_can_be_kept_as_well(tmp_path):
    with mlfoundry.get_client(tmp_path, user="ann") as client:
        run = client.create_run("demo", "a", log_system_metrics=False, capture=False)
        run.log_text("x", "x.txt")
        run.end()
        shown = [run, client.get_run("demo/a"), client.list_runs("demo"), client.list_projects()]
        shown += [client.list_collaborators("demo"), run.list_artifacts(), client.get_project("demo")]
        for each in shown:
            assert not AGES.search(each._repr_html_()), each
            assert f"{run.started_at:%Y-%m-%d}" in each._repr_html_()
