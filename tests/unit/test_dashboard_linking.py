"""Modules that become one script: every page's, and what is refused rather than linked in half."""

from __future__ import annotations

import re

import pytest

from mlfoundry.server.dashboard import assets
from mlfoundry.server.dashboard.linking import linked


def test_each_page_has_one_script_without_imports_and_with_every_module_once() -> None:
    for page in assets.PAGES:
        text = assets._files()[f"pages/{page}.js"].decode()
        assert not re.search(r"^(import|export)\b", text, re.MULTILINE), page
        modules = re.findall(r"^// ((?:panels|dashboard)/\w+\.js)$", text, re.MULTILINE)
        assert modules[-1] == f"dashboard/{page}.js"
        assert len(set(modules)) == len(modules)


def test_names_whole_modules_and_other_names_are_linked() -> None:
    sources = {
        "a/one.js": 'import { two, other as three } from "./two.js";\nimport * as all from "../b/four.js";\ntwo();\n',
        "a/two.js": "export function two() {}\nexport const other = 1;\n",
        "b/four.js": "export async function four() {}\nclass Hidden {}\n",
    }
    text = linked("a/one.js", sources)
    assert "const { two, other: three } = $m0;" in text
    assert "const all = $m1;" in text
    assert "return { two, other };" in text
    assert "return { four };" in text


@pytest.mark.parametrize(
    ("sources", "said"),
    [
        ({"a.js": 'import { b } from "./b.js";\n'}, "b.js is not there: a.js"),
        ({"a.js": 'import { b } from "./b.js";\n', "b.js": 'import { a } from "./a.js";\n'}, "imported in a circle"),
        ({"a.js": "export default 1;\n"}, "cannot be linked"),
        ({"a.js": 'import "./b.js";\n'}, "cannot be linked"),
        ({"a.js": 'export { b } from "./b.js";\n'}, "cannot be linked"),
    ],
)
def test_what_is_not_understood_is_refused(sources: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        linked("a.js", sources)
