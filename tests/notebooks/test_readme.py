"""The README is true: its code runs, its output is real, its tables are those of the code."""

import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

import mlfoundry
from mlfoundry.query.parser import parse_filter
from mlfoundry.query.tree import ATTRIBUTES
from tests.notebooks.shell import Shell
from tests.places import PLACES, ann_in

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```\n(?:\n```text\n(.*?)```\n)?", README, re.DOTALL)

# What differs from one execution to the next, and the widths of columns that follow from it.
CHANGING = [
    (r"\b[0-9a-f]{32}\b", "ID"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", "TIME"),
    (r"just now|\d+ (s|min) ago", "AGE"),
    (r"\b\d+\.\d s\b|\b\d+ s\b", "SPAN"),
    (r"\b\d+(\.\d+)? [KMG]iB\b", "SIZE"),
    (r"─+", "─"),
    (r"[ \t]+", " "),
]


def settled(text):
    for pattern, word in CHANGING:
        text = re.sub(pattern, word, text)
    return "\n".join(line.strip() for line in text.strip().splitlines())


def shown_by(code, namespace):
    """Run a block as a notebook does: what its last expression is, as text."""
    *statements, last = code.rstrip().split("\n")
    try:
        compile(last, "README.md", "eval")
    except SyntaxError:
        exec(compile(code, "README.md", "exec"), namespace)
        return ""
    exec(compile("\n".join(statements), "README.md", "exec"), namespace)
    return repr(eval(last, namespace))


@pytest.fixture(params=PLACES)
def as_ann(request):
    """Ann, in each place where her runs may be kept: by the environment alone, and no output differs."""
    yield from ann_in(request.param, request)


@pytest.fixture
def shell(as_ann, tmp_path):
    place = {name: os.environ[name] for name in ("MLFOUNDRY_HOST", "MLFOUNDRY_API_KEY") if name in os.environ}
    shell = Shell(tmp_path, **place)
    assert shell.cell("%load_ext mlfoundry_jupyter")["error"] is None
    yield shell
    shell.close()


def test_its_code_runs_in_order_and_shows_what_it_says(as_ann, shell):
    namespace = {}
    for code, output in BLOCKS:
        shown = shell.cell(code)["text"] if code.startswith("%") else shown_by(code, namespace)
        assert settled(shown) == settled(output), code
    assert len(BLOCKS) == README.count("```python")


def test_its_first_code_is_six_lines_and_stands_before_the_first_heading():
    first, _, _ = README.partition("\n## ")
    assert "make demo" in first
    assert "make test" in first
    lines = [line for line in BLOCKS[0][0].splitlines() if line and not line.startswith("import")]
    assert len(lines) <= 6
    assert BLOCKS[0][0] in first


@pytest.mark.parametrize("name", re.findall(r'src="(docs/pictures/[^"]+)"', README))
def test_each_picture_is_there_for_light_and_dark_and_small(name):
    sizes = []
    for path in (ROOT / name, ROOT / name.replace(".png", "-dark.png")):
        assert f'"{path.relative_to(ROOT)}"' in README
        png = path.read_bytes()
        assert png.startswith(b"\x89PNG")
        assert len(png) <= 150_000
        sizes.append(struct.unpack(">I", png[16:20])[0])
    assert min(sizes) >= 1200  # sharp on screens with two pixels for one


def test_its_pictures_are_those_that_the_script_takes():
    code = "import sys; sys.path.insert(0, 'docs'); import pictures; print(*pictures.PICTURES)"
    names = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert {f"docs/pictures/{name}.png" for name in names} == set(re.findall(r'src="(docs/pictures/[^"]+)"', README))
    files = {path.name for path in (ROOT / "docs" / "pictures").iterdir()}
    assert files == {f"{name}{theme}.png" for name in names for theme in ("", "-dark")}


def test_its_first_cell_left_the_run_that_it_speaks_of(shell):
    shell.cell(BLOCKS[0][0])
    folder = None if "MLFOUNDRY_HOST" in os.environ else shell.folder / "store"
    with mlfoundry.get_client(folder) as client:
        (run,) = client.list_runs("iris")
    assert run.get_params() == {"C": 1.0, "kernel": "rbf"}
    assert run.get_metrics()["accuracy"].values[0] > 0.9


def rows(head):
    """Return the cells of a table's rows."""
    table = README.partition(f"{head}\n")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()[1:]]


def test_it_names_every_magic():
    from mlfoundry_jupyter.magics import MlfoundryMagics

    named = {name for cells in rows("| magic | what it does |") for name in re.findall(r"%(mlfoundry_\w+)", cells[0])}
    assert named == set(MlfoundryMagics.magics["line"])


def test_it_names_every_panel_with_the_traits_that_are_its_own():
    from mlfoundry_jupyter import panels
    from mlfoundry_jupyter.panels.panel import Panel

    told = {
        cells[0].strip("`").partition("(")[0]: set(re.findall(r"`(\w+)`", cells[1]))
        for cells in rows("| panel | traits to read, set, observe and link |")
    }
    own = {
        name: {
            trait
            for trait in getattr(panels, name).class_trait_names(sync=True)
            if trait not in Panel.class_trait_names()
        }
        for name in panels.__all__
    }
    assert told == own


def filters():
    table = README.partition("| filter | finds runs |")[2].partition("\n\n")[0]
    return [re.match(r"\| (`+)(.*?)\1 \|", line)[2] for line in table.splitlines()[2:]]


@pytest.mark.parametrize("text", filters())
def test_every_filter_of_its_table_is_understood(text, tmp_path):
    client = mlfoundry.get_client(tmp_path, user="ann")
    with client.create_run("demo", log_system_metrics=False, capture=False) as run:
        run.log_params({"C": 1.0})
        run.log_metrics({"loss": 0.5})
    assert parse_filter(text) is not None
    assert len(client.search_runs("demo", text)) <= 1


def test_it_names_every_attribute_that_a_filter_may_use():
    sentence = README.partition("The attributes are")[2].partition(".")[0]
    assert re.findall(r"`(\w+)`", sentence) == list(ATTRIBUTES)


def test_it_names_every_command():
    from mlfoundry.cli import main

    table = README.partition("| command | what it does |")[2].partition("\n\n")[0]
    assert set(re.findall(r"mlfoundry ([a-z]+)", table)) == set(main.commands)


def test_it_never_tells_a_reader_to_fetch_the_package_by_its_name():
    pages = [README, *(path.read_text(encoding="utf-8") for path in ROOT.glob("*/*.md"))]
    assert not [page for page in pages if re.search(r"install\s+(-\S+\s+)*[\"']?mlfoundry\b", page)]


def test_every_link_to_a_file_leads_to_one():
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
