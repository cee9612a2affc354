"""The ES modules export what others use, and nothing else: a name that nobody imports is dead or a module's own."""

import re
from functools import cache

import pytest

from tests.architecture.imports import ROOT

ROOMS = ("mlfoundry", "mlfoundry_jupyter")
MEASURED = {"LIGHT", "DARK"}  # the palettes: tests measure their contrast
EXPORT = re.compile(r"^export (?:default |async )*(?:function\*?|const|let|class) (\w+)", re.MULTILINE)


@cache
def texts():
    """Return what all files hold that may use a name of a module: modules, pages, and Python that names an entry."""
    paths = [path for room in ROOMS for kind in ("js", "html", "py") for path in (ROOT / room).rglob(f"*.{kind}")]
    return {path: path.read_text(encoding="utf-8") for path in paths}


MODULES = [path for path in texts() if path.suffix == ".js"]


def test_the_modules_are_found():
    assert len(MODULES) > 50
    assert sum(len(EXPORT.findall(texts()[path])) for path in MODULES) > 100


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_what_a_module_exports_is_used_by_another(path):
    others = "\n".join(text for other, text in texts().items() if other != path)
    exported = set(EXPORT.findall(texts()[path])) - MEASURED
    assert [name for name in exported if not re.search(rf"\b{name}\b", others)] == []
