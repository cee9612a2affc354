"""What the commands print on terminals of every width: no line is too long, and a pipe gets everything."""

from __future__ import annotations

import fcntl
import json
import math
import os
import pty
import struct
import sys
import termios

import pytest
from click.testing import CliRunner

import mlfoundry
from mlfoundry import displays
from mlfoundry.cli import layout, main, output
from mlfoundry.cli.layout import Grid

WIDTHS = (40, 60, 80, 120, 200)
LONG = "a-name-made-of-all-settings-" + "lr-0.0003-" * 8
WIDE = "模型训练-实验-第一次-" * 4
HOSTILE = "\x1b[31mred\x07\u202e\u2066\r=1+1"


@pytest.fixture
def client(home):
    return mlfoundry.get_client(home, user="ann")


@pytest.fixture
def on_terminal(home, monkeypatch):
    """Call the program as on a terminal of some width, None for a pipe; return what it printed."""

    def call(width, *args, code=0):
        monkeypatch.setattr(output, "width", lambda: width)
        result = CliRunner().invoke(main, ["--user", "ann", *args])
        assert result.exit_code == code, result.output
        return result.stdout

    return call


def _fill(client, runs, project="demo"):
    for i in range(runs):
        name = [LONG, WIDE, "svm", "tree"][i % 4]
        with client.create_run(project, name, log_system_metrics=False, capture=False, tags={"note": HOSTILE}) as run:
            run.log_params({f"a.rather.long.name.of.a.param.{n}": i * n for n in range(9)})
            run.log_params({"text": f"{i} {LONG}", "none": None if i % 2 else 3})
            run.log_metrics({f"metric/with/a/long/name/{n}": math.pi * 10.0 ** (n - 4) * (i + 1) for n in range(9)})
            run.set_description(f"{LONG} and words " * 3)
            run.log_text("x", f"folder/{LONG[:60]}.txt")


@pytest.fixture
def filled(client):
    _fill(client, 5)
    _fill(client, 1, LONG[:100])
    return client


def _commands(client):
    runs = [f"demo/{run.run_name}" for run in client.list_runs("demo")]
    yield ("projects",)
    yield ("runs", "demo")
    yield ("runs", "demo", "--limit", "2")
    yield ("runs", "demo", "--filter", "run_name = 'none'")
    yield (
        "runs",
        "demo",
        "--columns",
        "run_name,status,text,none,description,metrics.`metric/with/a/long/name/3`,note",
    )
    yield ("runs", "demo", "--view", "all")
    yield ("show", runs[0])
    yield ("show", runs[0], "--metric", "metric/with/a/long/name/3")
    yield ("compare", *runs)
    yield ("artifacts", "list", runs[0])
    yield ("collaborators", "list", "demo")


@pytest.mark.parametrize("width", WIDTHS)
def test_no_line_is_longer_than_the_terminal(filled, on_terminal, width):
    for args in _commands(filled):
        for line in on_terminal(width, *args).splitlines():
            assert displays.cell_width(line) <= width, (args, line)


@pytest.mark.parametrize("runs", [0, 1, 200])
def test_any_number_of_runs_fits(client, on_terminal, runs):
    with client.create_run("demo", "first", log_system_metrics=False, capture=False) as first:
        pass
    first.delete()
    for i in range(runs):
        client.create_run("demo", f"run-{i}", log_system_metrics=False, capture=False).end()
    lines = on_terminal(60, "runs", "demo", "--limit", "0").splitlines()
    assert len(lines) == (1 if not runs else runs + 3)
    assert lines[0] == {0: "No runs of demo", 1: "1 run of demo", 200: "200 runs of demo"}[runs]


def test_a_pipe_gets_whole_names_and_texts(filled, on_terminal):
    for args in _commands(filled):
        assert "…" not in on_terminal(None, *args), args
    piped = on_terminal(None, "runs", "demo")
    assert LONG in piped
    assert WIDE in piped
    assert "Not shown" not in piped
    assert f"0 {LONG}" in on_terminal(None, "compare", f"demo/{LONG}", "demo/svm")


def test_a_pipe_gets_everything_whatever_the_environment_says_of_columns(filled, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    shown = CliRunner().invoke(main, ["--user", "ann", "runs", "demo"])
    assert LONG in shown.stdout


def test_json_has_the_whole_names_on_a_terminal_too(filled, on_terminal):
    found = json.loads(on_terminal(40, "runs", "demo", "--json"))
    assert {run["name"] for run in found["runs"]} == {LONG, WIDE, "svm", "tree", f"{LONG}-2"}


def test_a_narrow_terminal_keeps_state_name_and_first_metric_and_says_what_is_missing(filled, on_terminal):
    text = on_terminal(60, "runs", "demo")
    header, _, first = text.splitlines()[1:4]
    assert header.split()[:2] == ["status", "run"]
    assert "/0" in header
    assert first.startswith("✓ finished  a-name")
    assert "Not shown: " in text
    assert "--columns chooses." in text.replace("\n", " ")
    wide = on_terminal(2000, "runs", "demo")
    assert "Not shown: 5 more" in wide


def test_columns_that_were_asked_for_stand_below_when_they_do_not_fit_beside(filled, on_terminal):
    columns = "run_name,status,text,none,description,note,created_by"
    text = on_terminal(60, "runs", "demo", "--columns", columns)
    assert text.count("run_name") > 1
    for title in ("status", "params.text", "params.none", "description", "tags.note", "created_by"):
        assert title in text


def test_a_comparison_of_many_runs_goes_on_below(filled, on_terminal):
    runs = [f"demo/{run.run_name}" for run in filled.list_runs("demo")]
    narrow, wide = on_terminal(60, "compare", *runs), on_terminal(None, "compare", *runs)
    assert narrow.count("status ") > 1
    assert wide.count("status ") == 1
    assert "svm" in narrow


def test_runs_of_several_projects_are_told_apart_in_a_comparison(client, on_terminal):
    for project in ("one", "two"):
        client.create_run(project, "r", log_system_metrics=False, capture=False).end()
    text = on_terminal(None, "compare", "one/r", "two/r")
    assert "one/r" in text
    assert "two/r" in text


def test_a_param_that_is_none_is_none_and_one_that_is_absent_a_dash(client, on_terminal):
    for name, params in (("with", {"stop": None, "lr": 0.1}), ("without", {"lr": 0.1})):
        with client.create_run("demo", name, log_system_metrics=False, capture=False) as run:
            run.log_params(params)
    for args in (("compare", "demo/with", "demo/without"), ("show", "demo/with")):
        stop = next(line for line in on_terminal(None, *args).splitlines() if "stop" in line)
        assert "None" in stop, args
        assert ("–" in stop) == (args[0] == "compare")
    without, with_ = on_terminal(None, "runs", "demo", "--columns", "run_name,stop").splitlines()[3:]
    assert without.split() == ["without", "–"]
    assert with_.split() == ["with", "None"]
    with client.create_run("demo", "five", log_system_metrics=False, capture=False) as run:
        run.log_params({"stop": 5})
    table = on_terminal(None, "runs", "demo").splitlines()
    at = table[1].index("stop")
    assert [line[at : at + 4].strip() for line in table[3:]] == ["5", "–", "None"]


def test_params_that_four_digits_cannot_tell_apart_are_compared_with_all(client, on_terminal):
    for name, lr in (("a", 0.12345678), ("b", 0.12345679)):
        with client.create_run("demo", name, log_system_metrics=False, capture=False) as run:
            run.log_params({"lr": lr})
    text = on_terminal(80, "compare", "demo/a", "demo/b")
    assert "0.12345678" in text
    assert "0.12345679" in text


def test_numbers_have_four_digits_and_stand_to_the_right(client, on_terminal):
    for name, loss in (("a", 0.123456), ("b", 12.0)):
        with client.create_run("demo", name, log_system_metrics=False, capture=False) as run:
            run.log_metrics({"loss": loss})
    lines = on_terminal(80, "runs", "demo").splitlines()
    end = lines[1].index("loss") + 4
    assert [line[:end].split()[-1] for line in lines[3:]] == ["12", "0.1235"]
    assert all(line[end : end + 2] == "  " for line in lines[3:])
    projects = on_terminal(80, "projects").splitlines()
    end = projects[1].index("runs") + 4
    assert projects[3][end - 1] == "2"


def test_no_hostile_text_reaches_a_terminal_of_any_width(filled, on_terminal):
    for width in (None, 40, 80):
        for args in _commands(filled):
            assert not set(on_terminal(width, *args)) & set("\x1b\x07\r\u202e\u2066"), args


# -- the layout itself ---------------------------------------------------------------------------


def test_numbers_keep_their_digits_while_names_are_cut():
    grid = Grid(["name", "count"], [["x" * 100, "123,456,789"]], [False, True])
    assert grid.text(40).splitlines()[2] == f"{'x' * 13}…{'x' * 13}  123,456,789"


def test_a_number_is_rather_left_out_than_cut():
    grid = Grid(["name", "a", "b"], [["x" * 100, "123,456,789", "987,654,321"]], [False, True, True])
    assert grid.chosen([2], 40) == (grid.text(40, [0, 1]), ["b"])
    assert grid.chosen([2], 42)[1] == []


def test_wide_characters_count_as_two_cells():
    lines = Grid(["name", "n"], [["模型" * 20, "1"], ["svm", "2"]], [False, True]).text(40).splitlines()
    assert {displays.cell_width(line) for line in lines} == {40}
    assert displays.shortened("模型训练实验", 8) == "模型…验"
    assert displays.cell_width("e\u0301") == 1


def test_columns_go_in_the_order_given_and_are_named_in_that_of_the_table():
    grid = Grid(["name", "b" * 8, "c" * 8, "d" * 8], [["x" * 16, "1", "2", "3"]], [False, True, True, True])
    assert grid.chosen([3, 1, 2], 200)[1] == []
    assert grid.chosen([3, 1, 2], 40)[1] == ["d" * 8]
    assert grid.chosen([3, 1, 2], 30)[1] == ["b" * 8, "d" * 8]
    assert grid.chosen([3, 1, 2], None)[1] == []


def test_long_words_are_broken_and_short_ones_are_not():
    assert layout.wrapped("one two three", 9) == "one two\nthree"
    assert layout.wrapped("x" * 25, 10) == f"{'x' * 10}\n{'x' * 10}\n{'x' * 5}"
    assert layout.wrapped("one two", 100) == "one two"
    assert layout.wrapped("one two three", None) == "one two three"


# -- a real terminal -----------------------------------------------------------------------------


def _on_pty(width, *args):
    """Run the program on a pseudo terminal; return what came out of it."""
    code = "from mlfoundry.cli import main; main()"
    environment = {**os.environ, "MLFOUNDRY_USER": "ann", "NO_COLOR": "1", "PYTHONUTF8": "1"}
    environment.pop("COLUMNS", None)
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, "-c", code, *args],
        environment,
        file_actions=[(os.POSIX_SPAWN_DUP2, slave, fd) for fd in (0, 1, 2)],
    )
    os.close(slave)
    shown = b""
    try:
        while block := os.read(master, 65536):
            shown += block
    except OSError:  # the other end is closed
        pass
    finally:
        os.close(master)
        os.waitpid(pid, 0)
    return shown.decode().replace("\r\n", "\n")


def test_a_real_terminal_is_asked_for_its_width(filled):
    for width in (60, 100):
        lines = _on_pty(width, "runs", "demo").splitlines()
        assert len(lines) >= 8
        assert all(displays.cell_width(line) <= width for line in lines)
    assert max(map(displays.cell_width, lines)) > 60
