"""The pages that are made from the code are those that the code makes, and every public name is described."""

import importlib.util
import inspect
import re
from pathlib import Path

import pytest

import mlfoundry
from mlfoundry import errors

ROOT = Path(__file__).parents[2]


def tables():
    spec = importlib.util.spec_from_file_location("tables", ROOT / "docs" / "tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", tables().PAGES)
def test_the_tables_of_a_page_are_those_of_the_code(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert text.count("<!-- table: ") >= 1
    assert tables().with_tables(text) == text, "run python docs/tables.py"


def public_names():
    for name in mlfoundry.__all__:
        value = getattr(mlfoundry, name)
        if inspect.isclass(value):
            yield name, value
            for attribute, member in inspect.getmembers(value):
                if not attribute.startswith("_") and (callable(member) or isinstance(member, property)):
                    yield f"{name}.{attribute}", member
        elif callable(value) or inspect.ismodule(value):
            yield name, value


@pytest.mark.parametrize(("name", "value"), [pytest.param(*pair, id=pair[0]) for pair in public_names()])
def test_every_public_name_is_described(name, value):
    assert (inspect.getdoc(value) or "").strip()


def test_all_says_what_the_package_offers_and_dir_shows_it():
    assert sorted(mlfoundry.__all__) == mlfoundry.__all__
    assert dir(mlfoundry) == mlfoundry.__all__
    for name in mlfoundry.__all__:
        assert getattr(mlfoundry, name) is not None


def drawn():
    """Return the (class, base) pairs of the tree at the top of errors.py."""
    above = {}
    for line in errors.__doc__.splitlines():
        found = re.match(r"    ([│├└─ ]*)(\w+)", line)
        if found and found[2].endswith(("Error",)) and not found[1]:
            above = {0: found[2]}
            yield found[2], "Exception"
        elif found and found[1] and above:
            depth = len(found[1]) // 4
            above[depth] = found[2]
            also = re.search(r"\(also (\w+)\)", line)
            yield found[2], above[depth - 1] + (f", {also[1]}" if also else "")


def test_the_tree_of_errors_is_drawn_as_it_is():
    real = {
        name: ", ".join(base.__name__ for base in value.__bases__)
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, Exception) and not issubclass(value, Warning)
    }
    assert dict(drawn()) == real


def test_nothing_is_left_to_be_done_in_a_comment():
    words = ("TO" + "DO", "FIX" + "ME", "XX" + "X")
    rooms = ("mlfoundry", "mlfoundry_jupyter", "tests", "notebooks", "benchmarks", "docs", ".ci")
    pages = [path for room in rooms for path in (ROOT / room).rglob("*") if path.is_file()]
    for path in [*ROOT.glob("*.md"), ROOT / "Makefile", ROOT / "pyproject.toml", *pages]:
        if path.suffix not in (".pyc", ".png"):
            text = path.read_text(encoding="utf-8")
            assert not [word for word in words if re.search(rf"\b{word}\b", text)], path
