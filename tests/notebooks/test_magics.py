"""The magics in a real IPython shell: what a cell becomes, what is said, and what is in the store afterwards."""

import itertools

import pytest

import mlfoundry
from tests.notebooks.shell import Shell

numbers = itertools.count(1)


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    shell = Shell(tmp_path_factory.mktemp("shell"))
    assert shell.cell("%load_ext mlfoundry_jupyter")["error"] is None
    yield shell
    shell.close()


@pytest.fixture
def store(shell):
    with mlfoundry.get_client(shell.folder / "store", user="ann") as client:
        yield client


@pytest.fixture
def project():
    return f"project-{next(numbers)}"


SYNTAX_ERRORS = ("SyntaxError", "IndentationError", "_IncompleteInputError")  # the last one from Python 3.13 on

EARLY = """
lr, name = 0.01, "svm"
betas = (0.9, 0.99)
import mlfoundry, time
seen, end = {}, time.monotonic() + 30
while len(seen) < 2 and time.monotonic() < end:
    time.sleep(0.02)
    seen = dict(mlfoundry.get_client().get_run(run.run_id).record.params)
sorted(seen.items())
"""


@pytest.fixture(autouse=True)
def _nothing_runs_on(shell):
    yield
    left = shell.value("[run.fqn for run in __import__('mlfoundry').open_runs()]")
    if left:
        shell.cell("[run.end() for run in __import__('mlfoundry').open_runs()]")
    assert left == []


def the_run(store, project):
    (run,) = store.list_runs(project)
    return run


@pytest.mark.parametrize("option", ["", " --no-cost"])
def test_literals_are_params_while_the_cell_still_runs(shell, store, project, option):
    shown = shell.cell(f"%%mlfoundry_run {project}{option}{EARLY}")
    assert shown["error"] is None
    assert "[('lr', 0.01), ('name', 'svm')]" in shown["text"]
    assert the_run(store, project).get_params() == {"lr": 0.01, "name": "svm", "betas": [0.9, 0.99]}


def test_a_literal_of_a_line_that_is_not_reached_is_no_param(shell, store, project):
    shell.cell("rate = 0.5")
    shown = shell.cell(f"%%mlfoundry_run {project}\nimport time\ntime.sleep(0.2)\n1 / 0\nrate = 0.25")
    assert shown["error"] == "ZeroDivisionError"
    assert the_run(store, project).get_params() == {}


def test_what_repeats_a_cell_makes_no_run_of_each_time(shell, store, project):
    shown = shell.cell(f"%%timeit -n 3 -r 1\n%%mlfoundry_run {project}\nsum(range(10))")
    assert shown["error"] == "UsageError"
    assert "put %%mlfoundry_run above %%timeit" in shown["text"]
    with pytest.raises(mlfoundry.errors.NotFound):
        store.list_runs(project)
    assert shell.cell(f"%%mlfoundry_run {project}\n%%timeit -n 3 -r 1\nsum(range(10))")["error"] is None
    assert the_run(store, project).status.value == "FINISHED"


# -- one cell ------------------------------------------------------------------------------------


def test_a_cell_becomes_a_run_that_ends_with_it(shell, store, project):
    shown = shell.cell(
        f"%%mlfoundry_run {project} --name svm\nrun.log_metrics({{'loss': 0.5}}, step=1)\nrun.status.value"
    )
    assert shown["error"] is None
    assert "'RUNNING'" in shown["text"]
    run = the_run(store, project)
    assert (run.run_name, run.status.value, run.owner) == ("svm", "FINISHED", "ann")
    assert run.get_metrics()["loss"].values.tolist() == [0.5]
    assert shell.value("run.fqn") == run.fqn  # the next cell can look at it


def test_an_exception_fails_the_run_and_is_kept_with_its_traceback_and_right_line_numbers(shell, store, project):
    shown = shell.cell(f"%%mlfoundry_run {project}\n\ndef divide(a):\n    return a / 0\n\ndivide(5)\n")
    assert shown["error"] == "ZeroDivisionError"
    assert "line 6" in shown["text"]
    run = the_run(store, project)
    assert (run.status.value, run.error) == ("FAILED", "ZeroDivisionError: division by zero")
    trace = run.get_facts()["error.traceback"]
    assert "line 6, in <module>" in trace
    assert "line 4, in divide" in trace
    assert "interactiveshell" not in trace


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("raise KeyboardInterrupt", "KILLED"),
        ("import asyncio; raise asyncio.CancelledError", "KILLED"),
        ("raise SystemExit(0)", "FINISHED"),
        ("raise SystemExit(3)", "FAILED"),
        ("raise SystemExit('no data')", "FAILED"),
    ],
)
def test_the_status_says_how_the_cell_ended(shell, store, project, line, status):
    shell.cell(f"%%mlfoundry_run {project}\n{line}")
    assert the_run(store, project).status.value == status


@pytest.mark.parametrize("body", ["x = (", "def f(:\n    pass", "  x = 1\n y = 2"])
def test_a_cell_that_is_no_python_begins_no_run(shell, store, project, body):
    assert shell.cell(f"%%mlfoundry_run {project}\n{body}")["error"] in SYNTAX_ERRORS
    assert project not in [found.name for found in store.list_projects()]


@pytest.mark.parametrize(
    "text",
    [
        "# a comment\n\n%%mlfoundry_run {project}\n1",
        "\n\n%%mlfoundry_run {project}\n1",
        "%%time\n%%mlfoundry_run {project}\n1",
        "%%capture shown\n%%mlfoundry_run {project}\n1",
        "%%mlfoundry_run {project}\n%%time\n1",
        "%%mlfoundry_run {project}\n\n%%capture shown\n1",
        "%%mlfoundry_run {project} \\\n   --tag a=b\n1",
        "%%mlfoundry_run {project}",
        "%%mlfoundry_run {project}\n!true\nx = !echo hello\n%time 5",
        "%%mlfoundry_run {project}\nimport asyncio\nawait asyncio.sleep(0)\n1",
        "%%mlfoundry_run {project}\nfrom __future__ import annotations\n1",
        "%mlfoundry_run --cell {project}\n1",
        ">>> %%mlfoundry_run {project}\n>>> 1",
    ],
)
def test_the_first_line_is_found_wherever_it_may_stand_and_anything_may_follow(shell, store, project, text):
    shown = shell.cell(text.format(project=project))
    assert shown["error"] is None, shown["text"]
    assert the_run(store, project).status.value == "FINISHED"


def test_line_numbers_stay_right_behind_a_first_line_that_goes_on(shell, project):
    assert "line 4" in shell.cell(f"%%mlfoundry_run {project} \\\n   --tag a=b\nx = 1\n1 / 0")["text"]


def test_a_cell_inside_of_a_cell_has_a_run_of_its_own_and_the_outer_one_goes_on(shell, store, project):
    inner = f"%%mlfoundry_run {project} --name inner\nassert run.run_name == 'inner'"
    shown = shell.cell(
        f"%%mlfoundry_run {project} --name outer\nget_ipython().run_cell({inner!r})\nget_ipython().run_cell('')\n"
        "assert run.run_name == 'outer'\nrun.log_metrics({'after': 1})"
    )
    assert shown["error"] is None, shown["text"]
    assert {run.run_name: run.status.value for run in store.list_runs(project)} == {
        "inner": "FINISHED",
        "outer": "FINISHED",
    }
    assert store.get_run(f"{project}/outer").record.metrics["after"].last == 1


def test_a_failure_inside_does_not_fail_the_cell_around_it(shell, store, project):
    shell.cell(
        f"%%mlfoundry_run {project} --name outer\n"
        f"_ = get_ipython().run_cell('%%mlfoundry_run {project} --name inner\\n1/0')"
    )
    assert store.get_run(f"{project}/inner").status.value == "FAILED"
    assert store.get_run(f"{project}/outer").status.value == "FINISHED"


def test_the_magic_called_by_name_does_the_same_and_hands_the_error_on(shell, store, project):
    shown = shell.cell(f"get_ipython().run_cell_magic('mlfoundry_run', '{project}', '1/0')")
    assert shown["error"] == "ZeroDivisionError"
    assert the_run(store, project).status.value == "FAILED"


def test_a_second_run_in_the_same_cell_ends_the_first_and_says_so(shell, store, project):
    shown = shell.cell(f"%mlfoundry_run --cell {project} --name one\n%mlfoundry_run --cell {project} --name two\n1/0")
    assert "one ends here" in shown["text"]
    assert store.get_run(f"{project}/one").status.value == "FINISHED"
    assert store.get_run(f"{project}/two").status.value == "FAILED"


def test_a_run_that_the_cell_ended_itself_keeps_its_end(shell, store, project):
    shell.cell(f"%%mlfoundry_run {project}\nrun.end('KILLED')\n1/0")
    assert the_run(store, project).status.value == "KILLED"


def test_a_variable_called_run_is_not_lost_without_a_word(shell, project):
    shell.cell("def run(): pass")
    assert "run was a function and is the run now" in shell.cell(f"%%mlfoundry_run {project}\n1")["text"]
    shell.cell("def run(): pass")
    assert "was a" not in shell.cell(f"%%mlfoundry_run {project} --as exp\nexp.log_params({{'a': 1}})")["text"]
    assert shell.value("callable(run) and exp.record.params") == {"a": 1}


# -- arguments -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "no project is given"),
        ("{project} --nmae x", "unrecognized arguments: --nmae x; did you mean --name?"),
        ("{project} --rerun maybe", "invalid choice: 'maybe'"),
        ("{project} --tag novalue", "--tag wants NAME=VALUE, not 'novalue'"),
        ("{project} --metric 1st", "--metric wants the name of a variable, not '1st'"),
        ("{project} --name {{unknown}}", "{{unknown}} in the arguments cannot be evaluated: NameError"),
        ('{project} --name "open', "cannot be read: no closing quotation"),
        ("{project} --client shell", "--client wants a variable that holds a client; shell is not defined"),
        ("eve/{project}", "eve/{project}"),
        ("{project} --param =3", "--param wants NAME=VALUE"),
        ("{project} --status FAILED", "--status belongs to --end"),
        ("{project} --name a/b", "'a/b'"),
    ],
)
def test_a_wrong_argument_is_one_line_and_begins_nothing(shell, store, project, line, said):
    shown = shell.cell(f"%%mlfoundry_run {line.format(project=project)}\nmust_not_exist = 1")
    assert shown["error"] == "UsageError"
    assert said.format(project=project) in shown["text"]
    assert len(shown["text"].strip().splitlines()) == 1
    assert project not in [found.name for found in store.list_projects()]
    assert shell.value("'must_not_exist' in globals()") is False


def test_a_param_that_cannot_be_kept_leaves_no_run_behind(shell, store, project):
    assert shell.cell(f"%%mlfoundry_run {project} --param '\x01=1'\n1")["error"] == "UsageError"
    assert project not in [found.name for found in store.list_projects()]


def test_arguments_say_all_that_a_run_can_have(shell, store, project):
    shell.cell("size, title = 3, 'two words'")
    shell.cell(
        f'%%mlfoundry_run ann/{project} -n "{{title}} $size" -t kind=a=b -t empty= -p lr=0.5 -p name={{title}} '
        "-p sizes=[1,2] -p \"cost=$$5\" -d 'some text'\n1"
    )
    run = the_run(store, project)
    assert (run.run_name, run.description) == ("two words 3", "some text")
    assert {k: v for k, v in run.get_tags().items() if k != "mlfoundry.cell"} == {"kind": "a=b", "empty": ""}
    assert run.get_params() == {"lr": 0.5, "name": "two words", "sizes": [1, 2], "cost": "$5"}


def test_help_shows_the_options_and_runs_nothing(shell, project):
    for text in (f"%%mlfoundry_run {project} --help\nran = 1", "%mlfoundry_run -h", "%mlfoundry_runs --help"):
        shown = shell.cell(text)
        assert shown["error"] is None
        assert "usage: %mlfoundry_run" in shown["text"]
    assert shell.value("'ran' in globals()") is False
    assert "--rerun" in shell.cell("%%mlfoundry_run?")["text"]


def test_a_client_of_the_notebook_can_be_used(shell, project, tmp_path):
    shell.cell(f"import mlfoundry; mine = mlfoundry.get_client({str(tmp_path)!r}, user='bob')")
    shell.cell(f"%%mlfoundry_run {project} --client mine\n1")
    with mlfoundry.get_client(tmp_path, user="bob") as client:
        assert the_run(client, project).owner == "bob"


# -- what a cell teaches -------------------------------------------------------------------------


def test_a_cell_teaches_its_params_source_cost_and_what_changed(shell, store, project):
    first = shell.cell(f"%%mlfoundry_run {project} --name svm\nlr = 0.01\napi_key = 'hunter2'\nfor C in (1, 2): pass")
    assert "params lr=0.01" in first["text"]
    assert "source (1 secret masked)" in first["text"]
    second = shell.cell(f"%%mlfoundry_run {project} --name svm\nlr = 0.1\napi_key = 'hunter2'\nfor C in (1, 2): pass")
    assert "since svm: lr 0.01 → 0.1; source +1 −1 lines" in second["text"]
    run = store.get_run(f"{project}/svm-2")
    facts = run.get_facts()
    assert run.get_params() == {"lr": 0.1}
    assert "hunter2" not in str(facts)
    assert "-lr = 0.01\n+lr = 0.1" in facts["changes.source"]
    assert facts["changes.params"] == "lr: 0.01 → 0.1"
    assert facts["changes.since"] == store.get_run(f"{project}/svm").run_id
    told = shell.value(
        f"__import__('mlfoundry_jupyter.panels', fromlist=['x']) and __import__('json').loads({facts['cell.0001']!r})"
    )
    assert told["status"] == "FINISHED"
    assert told["ended_at"] >= told["started_at"]
    assert told["peak_bytes"] > 1_000_000
    assert 0 <= told["cpu_s"] < 60


def test_each_can_be_turned_off(shell, store, project):
    shell.cell(f"%%mlfoundry_run {project} --name a\nlr = 1")
    shown = shell.cell(f"%%mlfoundry_run {project} --name a --no-source --no-params --no-changes --no-cost\nlr = 2")
    run = store.get_run(f"{project}/a-2")
    assert run.get_params() == {}
    facts = run.get_facts()
    assert [name for name in facts if name.startswith(("changes", "cell"))] == ["cell.0001"]
    assert "cpu_s" not in facts["cell.0001"]
    assert "captured" not in shown["text"]
    assert "since" not in shown["text"]


def test_quiet_says_nothing_at_all(shell, store, project):
    assert shell.cell(f"%%mlfoundry_run {project} --quiet\nlr = 1")["text"].strip() == ""
    assert the_run(store, project).get_params() == {"lr": 1}


def test_what_the_cell_logs_itself_goes_before_its_literals(shell, store, project):
    shown = shell.cell(f"%%mlfoundry_run {project}\nlr = 0.1\nrun.log_params({{'lr': 0.2}})")
    assert shown["error"] is None
    assert the_run(store, project).get_params() == {"lr": 0.2}


def test_a_name_that_another_cell_changed_meanwhile_is_no_param(shell, store, project):
    shell.cell(f"%%mlfoundry_run {project}\nlr = 0.1\nglobals()['lr'] = 0.3\ndepth = 2")
    assert the_run(store, project).get_params() == {"depth": 2}


def test_variables_become_metrics_when_the_cell_ends(shell, store, project):
    shell.cell("stale = 5")
    shown = shell.cell(
        f"%%mlfoundry_run {project} -m acc -m losses -m missing -m text\nacc = 0.75\nlosses = [3.0, 2.0]\ntext = 'a'"
    )
    run = the_run(store, project)
    metrics = run.get_metrics()
    assert metrics["acc"].values.tolist() == [0.75]
    assert (metrics["losses"].steps.tolist(), metrics["losses"].values.tolist()) == ([0, 1], [3.0, 2.0])
    assert set(metrics) == {"acc", "losses"}
    assert "captured: metrics acc=0.75, losses=2 (2 points); source" in shown["text"]
    assert "--metric missing was not logged: there is no such variable" in shown["text"]
    assert "--metric text was not logged" in shown["text"]
    assert "acc" not in run.get_params()


def test_a_variable_that_exits_when_asked_for_its_number_is_not_logged_and_ends_nothing(shell, store, project):
    raising = "class {0}:\n    def __{1}__(self): raise {2}\n"
    body = raising.format("Exit", "float", "SystemExit(3)") + raising.format("Odd", "float", "GeneratorExit")
    shown = shell.cell(
        f"%%mlfoundry_run {project} -m exits -m odd -m acc\n{body}exits, odd, acc = Exit(), Odd(), 0.5\n"
    )
    run = the_run(store, project)
    assert set(run.get_metrics()) == {"acc"}
    assert str(run.status) == "FINISHED"
    assert "--metric exits was not logged: it is no number: SystemExit was raised by it" in shown["text"]
    assert "alive" in shell.cell("print('alive')")["text"]


def test_a_cell_that_failed_logs_no_stale_variable(shell, store, project):
    shell.cell("stale, fresh = 5.0, 1.0")
    shown = shell.cell(f"%%mlfoundry_run {project} -m stale -m fresh\nfresh = 2.5\n1/0\nstale = 6.0")
    assert set(the_run(store, project).get_metrics()) == {"fresh"}
    assert "--metric stale was not logged: the cell ended before it was computed" in shown["text"]


def test_hostile_text_cannot_become_html(shell, project):
    name = "<img src=x onerror=alert(1)>"
    shell.cell(f"%%mlfoundry_run {project} --name '{name}'\nx = 1")
    shown = shell.cell(f"%%mlfoundry_run {project} --name '{name}'\ntext = '{name}'\nraise ValueError('{name}')")
    assert "&lt;img" in shown["html"]
    assert "<img" not in shown["html"]


# -- again ---------------------------------------------------------------------------------------


def test_executing_a_cell_again_makes_a_new_run_under_the_next_name(shell, store, project):
    for _ in range(2):
        shell.cell(f"%%mlfoundry_run {project} --name a\n1", cell_id="cell-1")
    assert sorted(run.run_name for run in store.list_runs(project)) == ["a", "a-2"]


def test_replace_deletes_the_last_run_of_the_cell_and_takes_its_name(shell, store, project):
    for value in (1, 2):
        shown = shell.cell(f"%%mlfoundry_run {project} --name a --rerun replace\nx = {value}", cell_id="cell-2")
    shell.cell(f"%%mlfoundry_run {project} --name other\n1", cell_id="cell-3")
    assert "replaces a" in shown["text"]
    assert "since a: x 1 → 2" in shown["text"]
    runs = {run.run_name: run for run in store.list_runs(project)}
    assert set(runs) == {"a", "other"}
    assert runs["a"].get_params() == {"x": 2}
    (deleted,) = store.search_runs(project, view="deleted")
    deleted.restore()
    assert deleted.get_params() == {"x": 1}


def test_replace_without_a_name_keeps_the_random_one(shell, store, project):
    for _ in range(2):
        shell.cell(f"%%mlfoundry_run {project} --rerun replace\n1", cell_id="cell-4")
        names = [run.run_name for run in store.list_runs(project)]
    assert len(names) == 1
    assert not names[0].endswith("-2")


def test_version_counts_in_the_name_and_in_a_tag(shell, store, project):
    for _ in range(3):
        shell.cell(f"%%mlfoundry_run {project} --name a --rerun version\n1", cell_id="cell-5")
    versions = {run.run_name: run.get_tags()["version"] for run in store.list_runs(project)}
    assert versions == {"a": "1", "a-v2": "2", "a-v3": "3"}


def test_another_cell_never_replaces_a_run(shell, store, project):
    shell.cell(f"%%mlfoundry_run {project} --name a --rerun replace\n1", cell_id="cell-6")
    shell.cell(f"%%mlfoundry_run {project} --name a --rerun replace\n1", cell_id="cell-7")
    assert sorted(run.run_name for run in store.list_runs(project)) == ["a", "a-2"]


def test_a_former_run_that_is_still_open_is_closed_first(shell, store, project):
    shell.cell(
        "from mlfoundry_jupyter.extension import _loaded; hooks = get_ipython().events.callbacks['post_run_cell']"
    )
    shell.cell("kept = list(hooks); hooks.clear()")
    shell.cell(f"%%mlfoundry_run {project} --name a\n1", cell_id="cell-8")  # nobody hears of its end
    shell.cell("hooks.extend(kept); _loaded[get_ipython()].executions.stack.clear()")
    shown = shell.cell(f"%%mlfoundry_run {project} --name a\n1", cell_id="cell-8")
    assert "a, was still open and has been ended (KILLED)" in shown["text"]
    assert {run.run_name: run.status.value for run in store.list_runs(project)} == {"a": "KILLED", "a-2": "FINISHED"}


# -- several cells -------------------------------------------------------------------------------


def test_a_run_over_several_cells_records_each_until_its_end(shell, store, project):
    shown = shell.cell(f"%mlfoundry_run {project} --name many")
    assert f"ann/{project}/many is open" in shown["text"]
    shell.cell("depth = 3")
    shell.cell("%mlfoundry_status")
    shell.cell("run.log_metrics({'loss': 1.0})\ndepth = 4")
    shell.cell("token = 'abc123'\n1/0")
    shell.cell("fixed = True")
    shown = shell.cell("last = 1\n%mlfoundry_run --end")
    assert "5 cells" in shown["text"]
    run = the_run(store, project)
    facts = run.get_facts()
    sources = [facts[f"cell.{n:04d}.source"] for n in range(1, 6)]
    assert sources[0] == "depth = 3"
    assert sources[2] == 'token = "***"\n1/0'
    assert "FAILED" in facts["cell.0003"]
    assert "FINISHED" in facts["cell.0005"]
    assert "cell.0006" not in facts
    assert run.status.value == "FINISHED"
    assert run.get_params()["depth"] == 3


def test_a_param_that_a_later_cell_changes_is_said_with_the_run_that_has_it(shell, store, project):
    shell.cell(f"%mlfoundry_run {project}\nlr = 1")
    shown = shell.cell("lr = 2")
    shell.cell("%mlfoundry_run --end")
    name = the_run(store, project).run_name
    assert f"lr=2 was not logged: {name} has lr=1 already, and params do not change" in shown["text"]


def test_a_param_of_the_line_that_the_cell_assigns_otherwise_is_said_with_both_values(shell, project):
    shown = shell.cell(f"%%mlfoundry_run {project} --param lr=0.5\nlr = 0.1")
    assert "lr=0.1 was not logged: the run has lr=0.5 already" in shown["text"]
    assert "a new run takes" not in shown["text"]


@pytest.mark.parametrize(
    ("line", "end", "status"),
    [
        ("1/0", "--end", "FAILED"),
        ("1", "--end --status failed", "FAILED"),
        ("raise KeyboardInterrupt", "--end", "KILLED"),
        ("1/0", "--end --status FINISHED", "FINISHED"),
        ("1", "--end --status KILLED", "KILLED"),
    ],
)
def test_the_end_tells_how_the_last_cell_ended_unless_it_is_told_otherwise(shell, store, project, line, end, status):
    shell.cell(f"%mlfoundry_run {project}")
    shell.cell(line)
    shell.cell(f"%mlfoundry_run {end}")
    run = the_run(store, project)
    assert run.status.value == status
    assert bool(run.error) == (end == "--end")


def test_beginning_another_one_ends_the_one_that_is_open_and_says_so(shell, store, project):
    shell.cell(f"%mlfoundry_run {project} --name one")
    shown = shell.cell(f"%mlfoundry_run {project} --name two")
    shell.cell("%mlfoundry_run --end")
    assert "one was still open and has been ended (FINISHED)" in shown["text"]
    assert {run.status.value for run in store.list_runs(project)} == {"FINISHED"}


def test_a_cell_of_its_own_inside_of_an_open_run_leaves_that_open(shell, store, project):
    shell.cell(f"%mlfoundry_run {project} --name open")
    shown = shell.cell(f"%%mlfoundry_run {project} --name own\n1/0")
    assert "open, which %mlfoundry_run began, goes on without this cell, which is a run of its own" in shown["text"]
    assert shell.value("(run.run_name, run.status.value)") == ["open", "RUNNING"]
    shell.cell("%mlfoundry_run --end")
    assert store.get_run(f"{project}/own").status.value == "FAILED"
    assert store.get_run(f"{project}/open").status.value == "FINISHED"


def test_an_open_run_learns_nothing_of_a_cell_that_is_a_run_of_its_own(shell, store, project):
    shell.cell(f"%mlfoundry_run {project} --name open")
    shell.cell(f"\n%%mlfoundry_run {project} --name own\nq = 1")
    shown = shell.cell(f"%%mlfoundry_run {project} --name own\nq = 2")
    shell.cell("p = 1")
    shell.cell("%mlfoundry_run --end")
    assert "was not logged" not in shown["text"]
    assert store.get_run(f"{project}/own-2").get_params() == {"q": 2}
    run = store.get_run(f"{project}/open")
    assert run.get_params() == {"p": 1}
    assert [fact for name, fact in run.get_facts().items() if name.endswith(".source")] == ["p = 1"]


def test_an_open_run_says_that_it_records_a_cell_in_whose_midst_a_run_begins(shell, store, project):
    shell.cell(f"%mlfoundry_run {project} --name open")
    shown = shell.cell(f"q = 1\n%mlfoundry_run {project} --name own --cell")
    shell.cell("%mlfoundry_run --end")
    assert "open, which %mlfoundry_run began, goes on and records this cell too" in shown["text"]
    assert store.get_run(f"{project}/open").get_params() == {"q": 1}


def test_there_is_nothing_to_end_when_no_run_is_open(shell):
    assert "no run is open; %mlfoundry_run PROJECT begins one" in shell.cell("%mlfoundry_run --end")["text"]
    assert "--end takes no project" in shell.cell("%mlfoundry_run demo --end")["text"]


# -- the others ----------------------------------------------------------------------------------


def test_status_shows_where_runs_are_and_which_are_open(shell, project):
    shell.cell(f"%mlfoundry_run {project} --name many")
    shown = shell.cell("%mlfoundry_status")
    shell.cell("%mlfoundry_run --end")
    assert str(shell.folder / "store") in shown["text"]
    assert f"● running  ann/{project}/many" in shown["text"]
    assert f"✓ finished  ann/{project}/many" in shell.cell(f"%mlfoundry_status {project}/many")["text"]
    assert "UsageError" in shell.cell(f"%mlfoundry_status {project}/none")["text"]


@pytest.mark.parametrize(
    ("magic", "said"),
    [
        ("%mlfoundry_runs nowhere", "nowhere"),
        ("%mlfoundry_attach nowhere/x", "nowhere"),
        ("%mlfoundry_collaborators nowhere", "nowhere"),
        ("%mlfoundry_projects --no", "unrecognized arguments: --no"),
    ],
)
def test_what_does_not_exist_is_said_in_one_line(shell, magic, said):
    shown = shell.cell(magic)
    assert shown["error"] == "UsageError"
    assert said in shown["text"]
    assert len(shown["text"].strip().splitlines()) == 1


def test_the_panels_are_returned_so_that_they_can_be_kept_and_laid_out(shell, project):
    shell.cell(f"%%mlfoundry_run {project} --name a\nx = 1")
    for line, kind in (
        (f"mlfoundry_runs {project}", "RunsPanel"),
        ("mlfoundry_runs", "RunsPanel"),
        (f"mlfoundry_attach {project}/a", "RunPanel"),
        (f"mlfoundry_collaborators {project}", "CollaboratorsPanel"),
        ("mlfoundry_projects", "ProjectsPanel"),
    ):
        assert shell.cell(f"panel = %{line}")["error"] is None
        assert shell.value("type(panel).__name__") == kind
        assert "mlfoundry-mount" in shell.cell(f"%{line}")["html"]
        shell.cell("panel.close()")
    shell.cell("from mlfoundry_jupyter.panels.feed import feed; feed().stop()")


def test_a_panel_is_shown_when_it_is_asked_for(shell, project):
    shown = shell.cell(f"%%mlfoundry_run {project} --name shown --panel\nx = 1")
    assert "mlfoundry-mount" in shown["html"]
    assert "captured: params x=1" in shown["text"]
    shell.cell("from mlfoundry_jupyter.panels.feed import feed; feed().stop()")


# -- completion ----------------------------------------------------------------------------------


def completions(shell, text):
    shell.cell(
        "import warnings; from IPython.core.completer import ProvisionalCompleterWarning\n"
        "warnings.simplefilter('ignore', ProvisionalCompleterWarning)"
    )
    return shell.value(f"[found.text for found in get_ipython().Completer.completions({text!r}, {len(text)})]")


def test_magics_options_choices_and_projects_are_completed(shell, project):
    shell.cell(f"%%mlfoundry_run {project}\n1")
    shell.cell("accuracy = 0.5")
    assert "%%mlfoundry_run" in completions(shell, "%%mlfoundry_r")
    assert completions(shell, "%%mlfoundry_run demo --re") == ["--rerun"]
    assert completions(shell, "%%mlfoundry_run demo --rerun re") == ["replace"]
    assert completions(shell, "%%mlfoundry_run demo --metric accu") == ["accuracy"]
    assert project in completions(shell, "%mlfoundry_runs proj")
    assert project in completions(shell, "%%mlfoundry_run --name a ")
    assert project not in completions(shell, "%%mlfoundry_run demo ")
    assert "accuracy" in completions(shell, "accu")


# -- loading -------------------------------------------------------------------------------------


def test_loading_is_cheap_and_unloading_takes_everything_back(tmp_path):
    shell = Shell(tmp_path)
    shell.cell("import sys, time, mlfoundry")
    before = (
        "[len(get_ipython().input_transformers_cleanup), len(get_ipython().Completer.custom_matchers), "
        "*[n for n in (*map(lambda c: type(c).__name__, get_ipython().configurables), "
        "*get_ipython().magics_manager.registry) if 'Mlfoundry' in n], "
        "*[len(get_ipython().events.callbacks[e]) for e in ('pre_run_cell', 'post_run_cell')], "
        "sorted(n for kind in get_ipython().magics_manager.magics.values() for n in kind if 'mlfoundry' in n)]"
    )
    bare = shell.value(before)
    shell.cell("began = time.process_time()\n%load_ext mlfoundry_jupyter\ntook = time.process_time() - began")
    assert shell.value("took") <= 0.15
    heavy = "{'plotly', 'anywidget', 'ipywidgets', 'numpy', 'apsw'}"
    assert shell.value(f"sorted({heavy} & set(sys.modules))") == []
    assert shell.value(before) != bare
    shell.cell("%mlfoundry_run p --name many")
    shown = shell.cell("%unload_ext mlfoundry_jupyter")
    assert "many (FINISHED)" in shown["text"]
    assert shell.value(before) == bare
    assert shell.cell("%%mlfoundry_run p\n1")["error"] == "UsageError"
    assert shell.cell("%load_ext mlfoundry_jupyter\n%mlfoundry_run --cell p --name same\n1/0")["error"] is not None
    shell.cell("%reload_ext mlfoundry_jupyter")
    assert shell.cell("%%mlfoundry_run p --name again\n%unload_ext mlfoundry_jupyter\n1/0")["error"] is not None
    assert shell.value("mlfoundry.open_runs()") == []
    shell.close()
    with mlfoundry.get_client(tmp_path / "store", user="ann") as client:
        assert client.get_run("p/same").status.value == "FAILED"


def test_unloading_ends_what_panels_do_and_leaves_them_with_true_pictures(tmp_path):
    shell = Shell(tmp_path)
    shell.cell("import mlfoundry, threading\n%load_ext mlfoundry_jupyter")
    hooks = "[len(each) for each in get_ipython().events.callbacks.values()]"
    ours = "sorted(t.name for t in threading.enumerate() if t.name in ('mlfoundry-panels', 'mlfoundry-cell'))"
    assert "running" in shell.cell("%mlfoundry_run p --name many --panel")["html"]
    loaded = shell.value(hooks)
    assert shell.value(ours) == ["mlfoundry-panels"]
    shown = shell.cell("%unload_ext mlfoundry_jupyter")
    assert "✓ finished" in shown["text"]  # the panel's last picture
    assert shell.value(ours) == []
    assert sum(shell.value(hooks)) == sum(loaded) - 3  # the extension's two and the panels' one
    assert shell.cell("%load_ext mlfoundry_jupyter\n%mlfoundry_attach p/many")["error"] is None
    shell.cell("%unload_ext mlfoundry_jupyter")
    shell.close()


def test_whoever_interrupts_the_end_of_a_cell_leaves_no_run_open(shell, store, project):
    shell.cell(
        "from mlfoundry_jupyter.cells import Cells\ndef interrupted(self, begun): raise KeyboardInterrupt\n"
        "kept, Cells._changes = Cells._changes, interrupted"
    )
    shell.cell(f"%%mlfoundry_run {project} --name a\n1")
    shell.cell("Cells._changes = kept")
    assert store.get_run(f"{project}/a").status.value == "FINISHED"


def test_whoever_interrupts_a_replacement_leaves_no_run_open(shell, store, project):
    shell.cell(f"%%mlfoundry_run {project} --name a --rerun replace\n1", cell_id="cell-r")
    shell.cell(
        "from mlfoundry_jupyter import rerun\ndef interrupted(*_): raise KeyboardInterrupt\n"
        "kept, rerun.replace_former = rerun.replace_former, interrupted"
    )
    shown = shell.cell(f"%%mlfoundry_run {project} --name a --rerun replace\n1", cell_id="cell-r")
    shell.cell("rerun.replace_former = kept")
    assert shown["error"] == "KeyboardInterrupt"
    assert {run.run_name: run.status.value for run in store.list_runs(project)} == {"a": "FINISHED", "a-2": "KILLED"}


def test_the_end_of_a_run_whose_panel_stands_elsewhere_is_said(shell, project):
    shell.cell(f"%mlfoundry_run {project} --name many --panel")
    shown = shell.cell("%mlfoundry_run --end")["text"]
    assert shown.count(f"✓ finished  ann/{project}/many") == 2  # the line, and the picture of the panel
    shell.cell("from mlfoundry_jupyter.panels.feed import feed; feed().stop()")


def test_settings_turn_learning_off(tmp_path):
    off = ("CELL_SOURCE", "CELL_PARAMS", "CELL_CHANGES", "CELL_COST", "PANEL")
    shell = Shell(tmp_path, **{f"MLFOUNDRY_{name}": "0" for name in off})
    shell.cell("%load_ext mlfoundry_jupyter")
    for _ in range(2):
        shell.cell("%%mlfoundry_run p --name a\nlr = 1")
    shell.cell("%%mlfoundry_run p --name b --params --source\nlr = 1")
    shell.close()
    with mlfoundry.get_client(tmp_path / "store", user="ann") as client:
        facts = client.get_run("p/a-2").get_facts()
        assert list(facts) == ["cell.0001"]
        assert "cpu_s" not in facts["cell.0001"]
        assert client.get_run("p/a").get_params() == {}
        assert client.get_run("p/b").get_params() == {"lr": 1}
        assert "cell.0001.source" in client.get_run("p/b").get_facts()


def test_the_dashboards_magic_leads_to_the_run_that_was_begun_last(shell):
    assert shell.cell("%mlfoundry_dashboard")["error"] is None
    shell.cell("%%mlfoundry_run iris --name one\npass")
    shown = shell.cell("%mlfoundry_dashboard")
    assert shown["error"] is None
    assert "no dashboard serves this store now" in shown["text"]  # and not that there is no run
