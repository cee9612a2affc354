"""What is sent to a page: the loader as one module, and the files of the asset."""

import re
from importlib import resources

from mlfoundry_jupyter.panels import asset


def test_the_loader_holds_every_module_of_its_folder_and_imports_none():
    files = (file.name for file in resources.files("mlfoundry_jupyter.panels").iterdir())
    names = {name.removesuffix(".js") for name in files if name.endswith(".js")}
    assert names == {"panel", "loader", *asset._BEFORE_LOADER}
    text = asset.loader_source()
    assert not re.search(r"^import ", text, re.MULTILINE)
    assert re.findall(r"^export .*", text, re.MULTILINE) == ["export default {"]
    for name in names - {"panel"}:
        own = re.sub(r"^import .*\n|^export (?!default)", "", asset.own_source(name), flags=re.MULTILINE)
        assert own in text


def test_no_name_of_the_loader_is_declared_twice():
    declared = re.findall(r"^(?:const|let|class|function|async function) (\w+)", asset.loader_source(), re.MULTILINE)
    assert len(declared) == len(set(declared))
