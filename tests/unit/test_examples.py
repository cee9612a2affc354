"""The examples in docstrings do what they say: each is executed, and none is left out."""

import doctest
import importlib
import re

import pytest

import mlfoundry
from tests.architecture.imports import sources

# Panels need a page, which tests/notebooks/ and tests/browser/ have.
SHOWING = [
    module for module, path in sources().items()
    if re.search(r"^ *>>> ", path.read_text("utf-8"), re.MULTILINE) and "_jupyter.panels" not in module
]  # fmt: skip
FOUND = {
    found.name: found
    for module in SHOWING
    for found in doctest.DocTestFinder().find(importlib.import_module(module))
    if found.examples
}


def test_examples_are_found_in_each_file_that_has_some():
    assert all(any(name.startswith(module) for name in FOUND) for module in SHOWING)
    assert len(SHOWING) > 10


@pytest.mark.parametrize("name", FOUND)
def test_an_example_of_a_docstring_does_what_it_says(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    example, said = FOUND[name], []
    with mlfoundry.get_client(tmp_path / "given") as client:
        example.globs.setdefault("client", client)
        failed, tried = doctest.DocTestRunner().run(example, out=said.append, clear_globs=False)
        example.globs["client"].close()
    assert failed == 0, "".join(said)
    assert tried == len(example.examples), "some are skipped"
