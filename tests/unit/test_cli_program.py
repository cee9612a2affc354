"""The program as a whole: help, exit codes, errors, pipes, colours, and what it costs to start."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

import mlfoundry
from mlfoundry.cli import main

# What we colour ourselves: a status, the words of headings, Error and Warning. The hostile text is none of these.
OUR_COLOURS = re.compile(
    r"\x1b\[\d+m(?:\x1b\[1m)?([●○✓✕■] \w+|Error:|Warning:|Params|Metrics|Tags|Surroundings|Artifacts)\x1b\[0m"
)
HOSTILE = "\x1b[31mred\x07\u202e\u2066\r=1+1"


@pytest.fixture
def client(home):
    return mlfoundry.get_client(home, user="ann")


@pytest.fixture
def cli(home):
    def call(*args, **more):
        return CliRunner().invoke(main, ["--user", "ann", *args], **more)

    return call


def _commands(command, path=()):
    yield path, command
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from _commands(inner, (*path, name))


def _quiet_run(client, project="demo", name="r", **more):
    return client.create_run(project, name, log_system_metrics=False, capture=False, **more)


@pytest.mark.parametrize(
    ("path", "command"), [pytest.param(p, c, id=" ".join(p) or "main") for p, c in _commands(main)]
)
def test_every_command_and_every_option_has_a_help_text(path, command):
    assert command.help
    assert command.help.strip()
    assert len(command.get_short_help_str(200)) <= 60
    for param in command.params:
        if isinstance(param, click.Option):
            assert param.help, f"{' '.join(path)} {param.opts}"


@pytest.mark.parametrize("path", [path for path, _ in _commands(main)], ids=lambda path: " ".join(path) or "main")
def test_help_is_shown_for_every_command_and_keeps_the_lines_of_its_examples(path):
    result = CliRunner().invoke(main, [*path, "--help"])
    assert result.exit_code == 0
    assert result.stdout.startswith("Usage:")
    if "Example" in result.stdout:
        assert "\n    mlfoundry " in result.stdout


@pytest.mark.parametrize("path", [path for path, _ in _commands(main)], ids=lambda path: " ".join(path) or "main")
def test_help_fits_a_terminal_of_80_columns_and_its_paragraphs_stand_apart(path):
    text = CliRunner().invoke(main, [*path, "--help"], terminal_width=80).stdout
    assert max(map(len, text.splitlines())) <= 80
    for line in text.splitlines():
        assert "JSON: " not in line or line.startswith(("  JSON: ", "  JSON with"))
        assert not line.strip().endswith("Examples:") or line == "  Examples:"


def test_the_help_of_the_program_tells_all_exit_codes():
    text = CliRunner().invoke(main, ["-h"]).stdout
    for code in (0, 1, 2, 3, 4, 5, 130, 141):
        assert f"\n    {code} " in text


def test_every_command_that_prints_data_documents_its_json():
    for path, command in _commands(main):
        if not isinstance(command, click.Group):
            assert "JSON: " in command.help, path


def test_the_version_is_that_of_the_package():
    assert CliRunner().invoke(main, ["--version"]).stdout == f"mlfoundry, version {mlfoundry.__version__}\n"


@pytest.mark.parametrize("args", [["nonsense"], ["runs"], ["runs", "p", "--limit", "-1"], ["--wrong"], ["export", "p"]])
def test_wrong_usage_exits_with_2_and_points_to_the_help(cli, args):
    result = cli(*args)
    assert result.exit_code == 2
    assert "--help' for help" in result.stderr


def test_wrong_usage_with_json_is_one_object_on_stderr(cli):
    result = cli("runs", "--json")
    assert result.exit_code == 2
    assert json.loads(result.stderr)["error"]["code"] == 2
    assert result.stdout == ""


def test_an_error_code_tells_missing_from_forbidden_from_unreachable(client, cli, tmp_path):
    _quiet_run(client).end()
    assert cli("show", "demo/none").exit_code == 3
    assert cli("runs", "none").exit_code == 3
    assert cli("show", "a/b/c/d").exit_code == 1
    client.add_collaborator("demo", "bob", "READ")
    assert cli("--user", "bob", "delete", "ann/demo/r", "--yes").exit_code == 4
    (tmp_path / "store/mlfoundry.db").mkdir(parents=True)
    result = cli("projects", "--uri", str(tmp_path / "store"))
    assert result.exit_code == 5
    assert "Error: the store " in result.stderr


def test_an_error_with_json_says_code_type_and_message(client, cli):
    _quiet_run(client).end()
    result = cli("--json", "show", "other/none")
    assert result.exit_code == 3
    error = json.loads(result.stderr)["error"]
    assert error == {"code": 3, "type": "ProjectNotFound", "message": error["message"]}
    assert "ann/other" in error["message"]


def test_a_setting_that_cannot_be_used_is_an_error_without_a_traceback(cli, monkeypatch):
    monkeypatch.setenv("MLFOUNDRY_CAPTURE", "perhaps")
    result = cli("projects")
    assert result.exit_code == 1
    assert "MLFOUNDRY_CAPTURE is 'perhaps'" in result.stderr


def test_options_of_the_store_stand_before_or_behind_the_command_and_the_later_counts(client, tmp_path):
    _quiet_run(client).end()
    for args in (
        ["--user", "ann", "projects"],
        ["projects", "--user", "ann"],
        ["--user", "bob", "projects", "--user", "ann"],
    ):
        assert "ann/demo" in CliRunner().invoke(main, args).stdout
    mlfoundry.get_client(tmp_path / "new", user="ann").backend.make()
    elsewhere = CliRunner().invoke(main, ["projects", "--user", "ann", "--uri", str(tmp_path / "new")])
    assert "No projects" in elsewhere.stdout


def test_the_environment_says_who_and_where(client, home, monkeypatch, tmp_path):
    _quiet_run(client).end()
    monkeypatch.setenv("MLFOUNDRY_USER", "ann")
    assert "ann/demo" in CliRunner().invoke(main, ["projects"]).stdout
    monkeypatch.setenv("MLFOUNDRY_TRACKING_URI", str(tmp_path / "other"))
    mlfoundry.get_client(user="ann").backend.make()
    assert "No projects" in CliRunner().invoke(main, ["projects"]).stdout


def test_an_unexpected_error_is_named_in_one_line_with_the_way_to_its_traceback(client, cli, monkeypatch):
    _quiet_run(client).end()

    def broken(self):
        raise RuntimeError("what\x1b[31m")

    monkeypatch.setattr(mlfoundry.Client, "list_projects", broken)
    result = cli("projects")
    assert result.exit_code == 1
    assert "RuntimeError: what\\x1b[31m" in result.stderr
    assert "MLFOUNDRY_TRACEBACK=1" in result.stderr
    assert "Traceback" not in result.stderr
    monkeypatch.setenv("MLFOUNDRY_TRACEBACK", "1")
    assert "Traceback (most recent call last)" in cli("projects").stderr


def test_ctrl_c_exits_with_130(client, cli, monkeypatch):
    _quiet_run(client).end()

    def stopped(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(mlfoundry.Client, "list_projects", stopped)
    result = cli("projects")
    assert (result.exit_code, result.stderr) == (130, "Error: interrupted\n")


# -- hostile text --------------------------------------------------------------------------------


def _is_harmless(text):
    return not any(c in text for c in "\x1b\x07\r\u202e\u2066\u061c\u009b")


def test_no_text_of_a_stranger_steers_the_terminal(client, cli, tmp_path):
    run = _quiet_run(client, name="bad", tags={"t": HOSTILE})
    run.log_params({"p": HOSTILE})
    run.set_description(HOSTILE + "\nsecond")
    with pytest.raises(ValueError, match="red"), run:
        raise ValueError(HOSTILE)
    _quiet_run(client, name="good").end()
    outputs = [
        cli("show", "demo/bad", color=True),
        cli("runs", "demo", color=True),
        cli("runs", "demo", "--columns", "status,error,p,t,description", color=True),
        cli("compare", "demo/bad", "demo/good", color=True),
        cli("show", f"demo/{HOSTILE}", color=True),
        cli("runs", "demo", "--filter", f"{HOSTILE} <", color=True),
        cli(HOSTILE, color=True),
        cli("artifacts", "download", "demo/bad", HOSTILE, color=True),
        cli("export", "demo", "--to", str(tmp_path / "x\x1b[31m"), "--format", "csv", color=True),
    ]
    for result in outputs:
        assert _is_harmless(OUR_COLOURS.sub("", result.stdout + result.stderr)), result.output
    assert "\\x1b[31mred" in outputs[0].stdout
    assert "second" in outputs[0].stdout


def test_json_is_ascii_whatever_the_names_say(client, cli):
    _quiet_run(client, tags={"t": HOSTILE, "ü": "é\u2028"}).end()
    text = cli("show", "demo/r", "--json").stdout
    assert text.isascii()
    assert _is_harmless(text)
    assert json.loads(text)["run"]["tags"] == {"t": HOSTILE, "ü": "é\u2028"}


def test_a_terminal_that_cannot_show_a_character_gets_an_escape_of_it(client, home):
    _quiet_run(client, name="grün-✓").end()
    result = _program("runs", "demo", PYTHONIOENCODING="latin-1")
    assert result.returncode == 0
    assert b"gr\xfcn-\\u2713" in result.stdout


# -- as a process --------------------------------------------------------------------------------


def _program(*args, **environment):
    # The file system's encoding is set apart, because what is tested may be that of the streams.
    environment = {**os.environ, "MLFOUNDRY_USER": "ann", "PYTHONUTF8": "0", "LC_ALL": "C.UTF-8", **environment}
    command = [sys.executable, "-c", "from mlfoundry.cli import main; main()", *args]
    return subprocess.run(command, capture_output=True, env=environment, timeout=30)


def test_help_loads_no_package_that_takes_long():
    code = (
        "import sys\nfrom mlfoundry.cli import main\n"
        "try:\n main(['--help'])\nexcept SystemExit:\n pass\n"
        "print([name for name in 'numpy apsw pandas pyarrow psutil platformdirs'.split() if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert result.stdout.endswith("[]\n")


@pytest.mark.parametrize("args", [["runs", "demo", "--limit", "0"], ["runs", "demo", "--limit", "0", "--json"]])
def test_a_reader_that_goes_away_ends_the_program_quietly(client, home, args):
    for i in range(60):
        _quiet_run(client, name=f"r{i}", tags={"long": "x" * 3000}).end()
    environment = {**os.environ, "MLFOUNDRY_USER": "ann"}
    command = [sys.executable, "-c", "from mlfoundry.cli import main; main()", *args]
    reader, writer = os.pipe()
    os.close(reader)
    try:
        process = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, env=environment, timeout=30)
    finally:
        os.close(writer)
    assert process.stderr == b""
    assert process.returncode == 141


def test_a_real_ctrl_c_at_a_question_leaves_all_as_it_was(client, home):
    _quiet_run(client).end()
    command = [sys.executable, "-c", "from mlfoundry.cli import main; main()", "delete", "demo/r"]
    environment = {**os.environ, "MLFOUNDRY_USER": "ann"}
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )
    seen = b""
    while b"[y/N]" not in seen:
        seen += os.read(process.stdout.fileno(), 1000)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=10)
    assert process.returncode == 130
    assert b"Traceback" not in said
    assert client.get_run("demo/r").record.deleted_at is None


def test_colours_are_for_terminals_and_not_where_no_color_is_set(client, cli, monkeypatch):
    _quiet_run(client).end()
    assert "\x1b[" not in cli("runs", "demo").stdout
    assert "\x1b[32m✓ finished\x1b[0m" in cli("runs", "demo", color=True).stdout
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in cli("runs", "demo", color=True).stdout
