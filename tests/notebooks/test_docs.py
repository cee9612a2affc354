"""The pages of the documentation are true: their code runs in order, and what they show came out of it."""

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from mlfoundry.cli import main
from tests.notebooks.test_readme import settled, shown_by
from tests.places import PLACES, ann_in

ROOT = Path(__file__).parents[2]
OF_THE_SERVER = {"http.md", "server.md"}  # tests/server executes these
PAGES = [
    path
    for path in sorted((ROOT / "docs").glob("*.md"))
    if "```python" in path.read_text(encoding="utf-8") and path.name not in OF_THE_SERVER
]
BLOCK = re.compile(r"```(python|console)\n(.*?)```\n(?:\n```text\n(.*?)```\n)?", re.DOTALL)


def commands(block):
    """Yield the commands of a console block and what stands below each."""
    for part in block.split("$ mlfoundry ")[1:]:
        line, _, shown = part.partition("\n")
        yield shlex.split(line), shown


@pytest.fixture(params=PLACES)
def as_ann(request):
    yield from ann_in(request.param, request)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_its_code_and_its_commands_show_what_it_says(page, as_ann, monkeypatch, tmp_path):
    monkeypatch.setenv("MLFOUNDRY_SYSTEM_METRICS", "0")
    monkeypatch.setenv("MLFOUNDRY_CAPTURE", "0")
    monkeypatch.chdir(tmp_path)
    namespace = {}
    for kind, code, shown in BLOCK.findall(page.read_text(encoding="utf-8")):
        if kind == "python":
            assert settled(shown_by(code, namespace)) == settled(shown), code
            continue
        for args, told in commands(code):
            result = CliRunner().invoke(main, args)
            assert settled(result.output).startswith(settled(told)), args


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_of_it_is_executed(page):
    text = page.read_text(encoding="utf-8")
    found = BLOCK.findall(text)
    assert len(found) == text.count("```python") + text.count("```console")
    assert text.count("```") == 2 * (len(found) + text.count("```text"))


def test_the_pages_on_the_command_line_and_on_searching_are_there():
    assert {"command-line.md", "searching.md"} <= {page.name for page in PAGES}
