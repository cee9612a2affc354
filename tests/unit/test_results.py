"""Lists, series and comparisons: what they show, when they fetch, and what pandas gets of them."""

import math
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from mlfoundry import displays, results
from mlfoundry.errors import MissingExtra
from mlfoundry.records import (
    ArtifactRecord,
    Collaborator,
    Health,
    MetricSummary,
    Permission,
    ProjectRecord,
    RunKey,
    RunPage,
    RunRecord,
    RunStatus,
    Series,
)
from mlfoundry.results import ArtifactList, CollaboratorList, Comparison, ProjectList, RunList, SeriesTable
from mlfoundry.runs.stored_run import StoredRun

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
HOSTILE = "<script>alert('&\"')</script>\x1b[31m\n\u202etxt"
AS_SEEN = "<script>alert('&\"')</script>\\x1b[31m\\x0a\\u202etxt"


class Page(HTMLParser):
    """The tags, attributes and visible text of HTML."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.tags, self.attributes, self.text = set(), set(), ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data):
        self.text += data + " "


def page_of(shown):
    page = Page(shown._repr_html_())
    assert page.tags <= {"div", "table", "tr", "th", "td", "b", "span"}
    assert page.attributes <= {"style", "title"}
    return page


def record(name="r", number=1, status=RunStatus.FINISHED, params=None, metrics=None, **how):
    summaries = {key: MetricSummary(1, last, 0, NOW, last, last) for key, last in (metrics or {}).items()}
    return RunRecord(
        key=RunKey(1, f"{number:032x}"),
        owner=how.pop("owner", "ann"),
        project_name=how.pop("project_name", "p"),
        run_name=name,
        status=status,
        created_by="ann",
        started_at=NOW,
        ended_at=NOW + timedelta(seconds=2),
        last_seen_at=NOW,
        params=params or {},
        metrics=summaries,
        **how,
    )


class Pages:
    """A backend's search of `total` runs, a page at a time; notes each call."""

    def __init__(self, total, size):
        self.total, self.size, self.calls = total, size, []

    def __call__(self, cursor):
        self.calls.append(cursor)
        start = int(cursor or 0)
        stop = min(start + self.size, self.total)
        runs = tuple(record(f"r{i}", i) for i in range(start, stop))
        return RunPage(runs, str(stop) if stop < self.total else None)


def run_list(total, size=3):
    pages = Pages(total, size)
    return RunList(pages, lambda each: StoredRun(None, each), "of ann/p"), pages


def names(runs):
    return [run.run_name for run in runs]


# -- runs, page by page --------------------------------------------------------------------------


def test_nothing_is_fetched_before_it_is_looked_at():
    runs, pages = run_list(10)
    assert pages.calls == []
    assert bool(runs)
    assert pages.calls == [None]


@pytest.mark.parametrize(
    ("look", "fetched"),
    [
        (lambda runs: runs[0], 1),
        (lambda runs: runs[2], 1),
        (lambda runs: runs[3], 2),
        (lambda runs: runs[:3], 1),
        (lambda runs: runs[1:4], 2),
        (lambda runs: next(iter(runs)), 1),
        (lambda runs: [run for run, _ in zip(runs, range(4), strict=False)], 2),
        (lambda runs: runs[-1], 4),
        (lambda runs: runs[1:], 4),
        (len, 4),
        (list, 4),
        (lambda runs: runs.to_pandas(), 4),
        (lambda runs: runs.records, 4),
    ],
    ids=[
        "first",
        "last_of_page",
        "second_page",
        "slice",
        "slice_over_two",
        "next",
        "four",
        "last",
        "rest",
        "len",
        "list",
        "pandas",
        "records",
    ],
)
def test_only_as_many_pages_are_fetched_as_are_looked_at(look, fetched):
    runs, pages = run_list(10)
    look(runs)
    assert len(pages.calls) == fetched
    assert pages.calls == [None, "3", "6", "9"][:fetched]


def test_what_was_fetched_is_not_fetched_again():
    runs, pages = run_list(10)
    assert names(runs) == names(runs) == [f"r{i}" for i in range(10)]
    assert len(pages.calls) == 4


@pytest.mark.parametrize(
    "index",
    [
        slice(None),
        slice(2, 5),
        slice(-3, None),
        slice(None, -3),
        slice(None, None, -1),
        slice(5, 2, -1),
        slice(8, None, -2),
        slice(2, -2, 3),
        slice(4, 2),
        slice(100, 200),
        slice(None, 0),
    ],
    ids=str,
)
def test_every_slice_is_that_of_a_list(index):
    runs, _ = run_list(8, size=2)
    assert names(runs[index]) == [f"r{i}" for i in range(8)][index]


def test_an_index_beyond_the_end_is_an_index_error_as_for_a_list():
    runs, _ = run_list(4)
    for index in (4, -5, 100):
        with pytest.raises(IndexError):
            runs[index]


def test_an_empty_list_of_runs_is_false_and_says_what_was_asked():
    runs, _ = run_list(0)
    assert not runs
    assert repr(runs) == "No runs of ann/p"
    assert page_of(runs).text.strip() == "No runs of ann/p"
    assert runs.to_pandas().empty


@pytest.mark.parametrize(
    ("total", "size", "caption", "fetched"),
    [
        (1, 100, "1 run of ann/p", 1),
        (20, 100, "20 runs of ann/p", 1),
        (21, 100, "the first 20 of 21 runs of ann/p", 1),
        (500, 100, "the first 20 of more than 100 runs of ann/p", 1),
        (30, 10, "the first 20 of 30 runs of ann/p", 3),
    ],
)
def test_showing_runs_fetches_no_more_than_it_shows(total, size, caption, fetched):
    runs, pages = run_list(total, size)
    lines = repr(runs).splitlines()
    assert lines[0] == caption
    assert len(lines) == 3 + min(total, 20)
    assert caption in page_of(runs).text
    assert len(pages.calls) == fetched


def test_runs_become_rows_of_a_frame_with_their_values():
    rows = (
        record("a", 1, params={"lr": 0.1}, metrics={"loss": 0.5}, tags={"t": "x"}, error="ValueError: no"),
        record("b", 2, RunStatus.FAILED, params={"model": "svm"}),
    )
    frame = RunList(lambda _: RunPage(rows, None), lambda each: StoredRun(None, each), "").to_pandas()
    assert frame["run_name"].tolist() == ["a", "b"]
    assert frame["status"].tolist() == ["FINISHED", "FAILED"]
    assert frame.loc[0, ["params.lr", "metrics.loss", "tags.t", "error", "duration_s"]].tolist() == [
        0.1, 0.5, "x", "ValueError: no", 2.0,
    ]  # fmt: skip
    assert frame.loc[1, "params.model"] == "svm"
    assert math.isnan(frame.loc[1, "metrics.loss"])


# -- lists of records ----------------------------------------------------------------------------

PROJECT = ProjectRecord(5, "ann", HOSTILE, NOW, Permission.WRITE, 3, 1, None, 2)
PERSON = Collaborator(HOSTILE, Permission.READ, False, NOW)
FILE = ArtifactRecord(HOSTILE, 2048, "ab" * 32, NOW)
SERIES = Series(HOSTILE, np.arange(3), np.arange(3) * 1000, np.array([1.0, math.nan, 0.123456]), 3)
HEALTH = Health("offline", 5, 64, 32, 0, 0, HOSTILE, 0.25)
RUN = record(HOSTILE, error=HOSTILE, params={HOSTILE: HOSTILE}, metrics={HOSTILE: 1.0}, tags={HOSTILE: HOSTILE})


@pytest.mark.parametrize(
    "shown",
    [
        ProjectList([PROJECT]),
        CollaboratorList([PERSON]),
        ArtifactList([FILE]),
        SeriesTable({HOSTILE: SERIES}),
        Comparison([StoredRun(None, RUN), StoredRun(None, record("b", 2))]),
        RunList(lambda _: RunPage((RUN, record("b", 2)), None), lambda each: StoredRun(None, each), HOSTILE),
        StoredRun(None, RUN),
        PROJECT,
        FILE,
        SERIES,
        HEALTH,
    ],
    ids=lambda shown: type(shown).__name__,
)
def test_hostile_text_is_shown_whole_and_stays_text(shown):
    page, text = page_of(shown), repr(shown)
    assert displays.shortened(HOSTILE, 36)[:10] in page.text
    assert AS_SEEN in text or displays.shortened(HOSTILE) in text or displays.shortened(HOSTILE, 36) in text
    assert not set("\x1b\u202e\r\t") & set(text + page.text)


@pytest.mark.parametrize(
    ("empty", "text"),
    [
        (ProjectList(), "No projects yet. Make one: client.create_run('my-project')"),
        (ArtifactList(), "No artifacts"),
        (SeriesTable(), "No metrics"),
    ],
)
def test_an_empty_state_says_that_it_is_empty(empty, text):
    assert repr(empty) == text
    assert text in page_of(empty).text


def test_a_list_shows_a_row_for_each_record():
    people = CollaboratorList(
        [Collaborator("ann", Permission.ADMIN, True, NOW), Collaborator("bob", Permission.READ, False, NOW)]
    )
    lines = repr(people).splitlines()
    assert lines[0] == "2 with access"
    assert lines[3].split()[:3] == ["ann", "ADMIN", "owner"]
    assert lines[4].split()[:2] == ["bob", "READ"]
    assert "ann" in page_of(people).text
    assert "bob" in page_of(people).text
    assert repr(ProjectList([PROJECT])).startswith("1 project\n")
    assert repr(ArtifactList([FILE, FILE])).startswith("2 artifacts\n")


def test_records_become_rows_of_a_frame():
    frame = ArtifactList([FILE]).to_pandas()
    assert frame.columns.tolist() == ["path", "size_bytes", "sha256", "created_at"]
    assert frame.loc[0, "size_bytes"] == 2048
    assert ProjectList([PROJECT]).to_pandas().loc[0, "run_count"] == 3
    assert CollaboratorList().to_pandas().empty


def test_a_list_of_records_is_a_list():
    files = ArtifactList([FILE])
    assert files == [FILE]
    assert [*files, FILE][0] is FILE


# -- points --------------------------------------------------------------------------------------


def test_series_show_their_points_steps_and_last_value():
    table = SeriesTable({"loss": SERIES, "none": Series("none", *[np.empty(0, np.int64)] * 2, np.empty(0), 0)})
    lines = repr(table).splitlines()
    assert lines[2].split() == ["loss", "3", "0", "–", "2", "0.1235"]
    assert lines[3].split() == ["none", "0", "–", "–"]


def test_points_become_rows_of_a_frame():
    frame = SeriesTable({"loss": SERIES, "acc": Series("acc", *[np.array([7])] * 2, np.array([0.5]), 1)}).to_pandas()
    assert frame.columns.tolist() == ["metric", "step", "time", "value"]
    assert frame["step"].tolist() == [0, 1, 2, 7]
    assert frame["metric"].tolist() == [HOSTILE] * 3 + ["acc"]
    assert frame.loc[1, "time"] == pd.Timestamp("1970-01-01 00:00:00.001", tz="UTC")
    assert math.isnan(frame.loc[1, "value"])


def test_no_points_become_a_frame_with_all_columns():
    for table in (SeriesTable(), SeriesTable({"none": Series("none", *[np.empty(0, np.int64)] * 2, np.empty(0), 0)})):
        frame = table.to_pandas()
        assert (len(frame), frame.columns.tolist()) == (0, ["metric", "step", "time", "value"])


# -- comparisons ---------------------------------------------------------------------------------


@pytest.fixture
def comparison():
    return Comparison(
        [
            StoredRun(None, record("a", 1, params={"lr": 0.1, "same": 1, "kind": 1}, metrics={"loss": 0.5})),
            StoredRun(None, record("b", 2, params={"lr": 0.2, "same": 1, "kind": 1.0}, metrics={"acc": math.nan})),
        ]
    )


def test_a_comparison_tells_what_differs_and_the_last_values(comparison):
    assert comparison.differing == ["lr", "kind"]  # 1 and 1.0 were logged as different things
    assert comparison.params["same"] == [1, 1]
    assert comparison.metrics["loss"] == [0.5, None]
    text = repr(comparison)
    assert text.startswith("2 runs, metrics by last value; 1 param that is the same in all is not shown\n")
    rows = {line.rsplit(None, 2)[0].strip(): line.split()[-2:] for line in text.splitlines()[4:]}
    assert rows["param lr"] == ["0.1", "0.2"]
    assert rows["metric loss"] == ["0.5", "–"]
    assert rows["metric acc"] == ["–", "NaN"]
    assert "param same" not in text


def test_a_comparison_becomes_a_frame_with_a_column_for_each_run(comparison):
    frame = comparison.to_pandas()
    assert frame.columns.tolist() == ["a", "b"]
    assert frame.loc[("param", "same")].tolist() == [1, 1]
    assert frame.loc[("metric", "loss"), "a"] == 0.5


def test_runs_without_anything_can_be_compared():
    empty = Comparison([StoredRun(None, record("a"))])
    assert (empty.params, empty.metrics) == ({}, {})
    assert empty.to_pandas().empty
    assert "✓ finished" in repr(empty)


def test_a_failed_run_shows_its_error_on_its_card():
    run = StoredRun(None, record(status=RunStatus.FAILED, error="ValueError: no data", description="a try"))
    assert "✕ failed  ann/p/r" in repr(run)
    assert "ValueError: no data" in repr(run)
    assert "a try" in page_of(run).text


# -- pandas --------------------------------------------------------------------------------------


def test_without_pandas_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(
        MissingExtra, match=r"^to_pandas\(\) needs pandas, which is not installed\. Run: pip install pandas$"
    ):
        SeriesTable().to_pandas()


def test_pandas_is_loaded_only_when_a_frame_is_wanted():
    code = "import sys, mlfoundry.results as r\nrepr(r.ProjectList()); repr(r.SeriesTable())\n"
    code += "print('pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    assert results.SHOWN == 20
