"""Remove outputs, execution counts and traces of a machine from the notebooks; run it before a commit.

python notebooks/strip.py
"""

from __future__ import annotations

import json
from pathlib import Path

KEPT_TAGS = ["raises-exception"]  # "Run All" goes on behind a cell that fails on purpose
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def stripped(text: str) -> str:
    """Return a notebook's text as it is to be stored."""
    notebook = json.loads(text)
    notebook["metadata"] = METADATA
    for cell in notebook["cells"]:
        tags = [tag for tag in cell["metadata"].get("tags", []) if tag in KEPT_TAGS]
        cell["metadata"] = {"tags": tags} if tags else {}
        if cell["cell_type"] == "code":
            cell["outputs"] = []
            cell["execution_count"] = None
    return json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    for path in sorted(Path(__file__).parent.glob("*.ipynb")):
        path.write_text(stripped(path.read_text(encoding="utf-8")), encoding="utf-8")
