"""The parts behind the cell magic, each alone: first line, arguments, executions, reruns, changes, what is said."""

import argparse
import time
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.error import UsageError

import mlfoundry
from mlfoundry_jupyter import changes, rerun
from mlfoundry_jupyter.arguments import Request, split
from mlfoundry_jupyter.cells import Cells
from mlfoundry_jupyter.changes import Former, compare
from mlfoundry_jupyter.completion import Completion
from mlfoundry_jupyter.executions import Executions
from mlfoundry_jupyter.first_line import to_line_magic
from mlfoundry_jupyter.notices import Notice

CALL = "get_ipython().run_line_magic('mlfoundry_run', '--cell demo')\n"


# -- the client ----------------------------------------------------------------------------------


def test_a_client_of_former_settings_is_closed_and_what_it_gave_out_still_works(monkeypatch):
    closed = []
    close = mlfoundry.Client.close
    monkeypatch.setattr(mlfoundry.Client, "close", lambda self: (closed.append(self), close(self)))
    cells = Cells(SimpleNamespace(user_ns={}), Executions())
    first = cells.client()
    run = first.create_run("demo", "svm", log_system_metrics=False, capture=False)
    assert cells.client() is first
    monkeypatch.setenv("MLFOUNDRY_USER", "bob")
    second = cells.client()
    assert (second is not first, closed) == (True, [first])
    run.log_metrics({"loss": 0.5})
    run.end()
    assert first.get_run(run.run_id).get_metrics()["loss"].values.tolist() == [0.5]
    first.close()
    second.close()


# -- the first line ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "rewritten"),
    [
        ("%%mlfoundry_run demo\n1\n", f"{CALL}1\n"),
        ("# why\n\n%%mlfoundry_run demo\n1\n", f"# why\n\n{CALL}1\n"),
        ("%%mlfoundry_run demo  \n\n1\n", f"{CALL}\n1\n"),
        ("%%mlfoundry_run \\\ndemo\n1\n", f"{CALL}\n1\n"),
        ("%%mlfoundry_run demo -h\n1\n", CALL.replace("demo", "demo -h")),
        ("%%mlfoundry_run?\n1\n", "%%mlfoundry_run?\n"),
        ("%%mlfoundry_run ??\n", "%%mlfoundry_run??\n"),
        ("%%mlfoundry_run demo\n%%time\n1\n", f"{CALL}get_ipython().run_cell_magic('time', '', '1\\n')\n"),
    ],
)
def test_the_first_line_becomes_a_call_and_every_other_line_stays_where_it_is(cell, rewritten):
    assert "".join(to_line_magic(cell.splitlines(keepends=True))) == rewritten


@pytest.mark.parametrize(
    "cell", ["", "1\n%%mlfoundry_run demo\n", "%%mlfoundry_runs demo\n", "%mlfoundry_run demo\n", "#\n"]
)
def test_other_cells_stay_as_they_are(cell):
    lines = cell.splitlines(keepends=True)
    assert to_line_magic(lines) == lines


# -- arguments -----------------------------------------------------------------------------------


def test_what_replaces_an_expression_is_never_split():
    names = {"name": "two words 'and' \"quotes\"", "d": {"a b": 1}, "x": 0.123456}
    words = split("a --name {name} $name {d['a b']} {x:.2f} {x!r} {{b}} $$name {' '}", names)
    assert words == ["a", "--name", names["name"], names["name"], "1", "0.12", "0.123456", "{b}", "$name", " "]


@pytest.mark.parametrize("line", ["{", "{a", "}", "{1/0}", "{nothing}", "$nothing", "'open"])
def test_what_cannot_be_replaced_is_said_in_one_line(line):
    with pytest.raises(UsageError) as told:
        split(line, {})
    assert "\n" not in str(told.value)


# -- executions ----------------------------------------------------------------------------------


def cell(text):
    return SimpleNamespace(raw_cell=text)


def ended(info):
    return SimpleNamespace(info=info)


def test_an_end_belongs_to_its_own_cell():
    executions = Executions()
    outer, inner = executions.begin(cell("outer")), executions.begin(cell("inner"))
    assert executions.end(ended(cell(""))) == []  # an empty cell ends without having begun
    assert executions.end(ended(inner.info)) == [inner]
    assert executions.innermost is outer
    assert executions.end(None) == [outer]
    assert executions.end(None) == []


def test_cells_whose_end_is_never_told_end_with_the_one_around_them():
    executions = Executions()
    outer, lost = executions.begin(cell("outer")), executions.begin(cell("lost"))
    assert executions.end(ended(outer.info)) == [lost, outer]


def test_an_interrupted_cell_is_known_by_its_text():
    executions = Executions()
    outer = executions.begin(cell("text"))
    assert executions.end(ended(cell("other"))) == []
    assert executions.end(ended(cell("text"))) == [outer]


# -- reruns --------------------------------------------------------------------------------------


def test_a_cell_is_known_by_its_id_else_by_the_name_of_its_run_else_by_its_source():
    def key(cell_id=None, name=None, source="a", notebook="n", project="p"):
        request = Request(project, name=name)
        return rerun.cell_key(cell_id, request, source, {"JPY_SESSION_NAME": notebook})

    assert key("c", source="a") == key("c", source="b", name="x")
    assert key(name="x", source="a") == key(name="x", source="b")
    assert (
        len({key(), key("c"), key("d"), key("c", notebook="m"), key("c", project="q"), key(name="x"), key(source="b")})
        == 7
    )


@pytest.mark.parametrize(
    ("former", "name", "expected"),
    [
        (None, "a", ("a", "1")),
        (("a", {"version": "1"}), "a", ("a-v2", "2")),
        (("a-v9", {"version": "9"}), None, ("a-v10", "10")),
        (("a", {}), None, ("a-v2", "2")),
        (("a", {"version": "x"}), "b", ("b-v2", "2")),
        (("a", {"version": "9" * 30}), "b", ("b-v2", "2")),
    ],
)
def test_versions_count_on_from_the_last_run(former, name, expected):
    run = former and SimpleNamespace(run_name=former[0], record=SimpleNamespace(tags=former[1]))
    assert rerun.next_name(Request("p", name=name, rerun="version"), run) == (expected[0], {"version": expected[1]})


def test_only_ones_own_runs_are_replaced(tmp_path):
    ann, bob = (mlfoundry.get_client(tmp_path, user=user) for user in ("ann", "bob"))
    options = {"log_system_metrics": False, "capture": False, "tags": {rerun.CELL_TAG: "0123456789ab"}}
    request = Request("p", owner="ann")
    assert rerun.find_former(ann, request, "0123456789ab") is None
    ann.create_run("p", **options).end()
    ann.add_collaborator("p", "bob", "WRITE")
    assert rerun.find_former(bob, request, "0123456789ab") is None
    assert rerun.find_former(ann, request, "0123456789ab").run_id == ann.list_runs("p")[0].run_id
    ann.list_runs("p")[0].delete()
    assert rerun.find_former(ann, request, "0123456789ab") is None
    ann.close()
    bob.close()


# -- changes -------------------------------------------------------------------------------------


def test_what_changed_is_told_in_a_line_and_kept_whole():
    before = Former("id", "a", "x = 1\ny = 2", {"lr": 0.1, "old": 1}, "numpy==1.26\npandas==2.0")
    told = compare(before, source="x = 2\ny = 2", params={"lr": 0.2, "new": 2}, packages="numpy==2.0\npandas==2.0")
    assert told.summary() == "lr 0.1 → 0.2, new 2 (new), old gone; source +1 −1 lines; numpy 1.26 → 2.0"
    facts = told.facts()
    assert facts["changes.since"] == "id"
    assert facts["changes.params"] == "lr: 0.1 → 0.2\nnew: – → 2\nold: 1 → –"
    assert facts["changes.packages"] == "numpy: 1.26 → 2.0"
    assert "-x = 1\n+x = 2" in facts["changes.source"]


def test_nothing_is_said_of_what_was_not_kept():
    unknown = Former("id", "a", None, {}, "")
    assert compare(unknown, source="x", params={}, packages="numpy==1").summary() == "nothing changed"
    known = Former("id", "a", "x", {}, "numpy==1")
    assert compare(known, source=None, params={}, packages="").summary() == "nothing changed"


def _applied(before, diff):
    """Return what a unified diff makes of lines: a reader of its own."""
    lines, at = [], 0
    for line in diff.splitlines()[2:]:
        if line.startswith("@@"):
            start, _, count = line.split()[1][1:].partition(",")
            first = int(start) - 1 + (count == "0")
            lines, at = [*lines, *before[at:first]], first
        elif line.startswith("+"):
            lines.append(line[1:])
        else:
            assert before[at] == line[1:]
            lines, at = lines + [before[at]] * (line[0] == " "), at + 1
    return [*lines, *before[at:]]


@given(
    st.lists(st.sampled_from("abc"), max_size=30),
    st.lists(st.tuples(st.integers(0, 30), st.sampled_from(["x", "a", None])), max_size=5),
    st.sampled_from([1, 4, 1000]),
)
def test_the_diff_of_a_source_makes_the_new_one_of_the_old_wherever_they_differ(before, edits, most):
    now = list(before)
    for place, line in edits:
        now[place : place + (line is None)] = [] if line is None else [line]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(changes, "MOST_COMPARED", most)
        told = compare(Former("id", "a", "\n".join(before), {}), source="\n".join(now), params={}, packages="")
    assert _applied("\n".join(before).splitlines(), told.source) == "\n".join(now).splitlines()
    assert bool(told.source) == ("\n".join(before).splitlines() != "\n".join(now).splitlines())


def test_a_cell_of_20_000_lines_is_compared_without_holding_the_kernel():
    lines = [f"x = {number % 110}" for number in range(20_000)]  # that repeat, and differ here and there: a minute
    before = "\n".join(lines)
    lines[::7] = ["y"] * len(lines[::7])
    now = "\n".join(lines)
    started = time.perf_counter()
    told = compare(Former("id", "a", before, {}), source=now, params={}, packages="")
    assert time.perf_counter() - started < 1.0
    assert told.added == told.removed > 19_000
    assert len(told.source) < 21_000


def test_many_changes_stay_one_line():
    told = compare(Former("id", "a", None, {}), source=None, params={f"p{i}": i for i in range(50)}, packages="")
    assert told.summary().endswith("and 46 more")


# -- what is said --------------------------------------------------------------------------------


def test_a_notice_is_html_and_text_of_the_same_content():
    notice = Notice(("first <b>", "second"), "+ <i>\n- x", mlfoundry.RunStatus.FAILED)
    assert repr(notice) == "✕ failed  first <b>\nsecond\n  + <i>\n  - x"
    html = notice._repr_html_()
    assert "first &lt;b&gt;" in html
    assert "<details" in html
    assert "+ &lt;i&gt;\n- x" in html


# -- completion ----------------------------------------------------------------------------------


def test_completion_gives_up_at_once_where_the_store_cannot_be_asked():
    parser = argparse.ArgumentParser(prog="mlfoundry_runs")
    parser.add_argument("project", nargs="?")
    parser.add_argument("--client")

    def broken():
        raise mlfoundry.errors.BackendUnavailable("no store")

    completion = Completion(SimpleNamespace(user_ns={}), broken, {"mlfoundry_runs": parser})
    assert completion.matches("%mlfoundry_runs p") == ("p", [])
    assert completion.matches("%mlfoundry_runs --cl") == ("--cl", ["--client"])
    assert completion.matches("%mlfoundry_other p") is None
    assert completion.matches("print(1)") is None
    assert completion.matches("%mlfoundry_ru") is None
    completion._fetching.join()
