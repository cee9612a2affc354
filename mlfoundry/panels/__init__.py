"""The front end of notebooks and of the dashboard: ES modules and one style sheet, used as they are.

Gives their texts; `frames` makes what is sent to them.
"""

from __future__ import annotations

from importlib import resources

STYLE = "style.css"


def module_names() -> list[str]:
    """Return the names of all modules."""
    files = (file.name for file in resources.files(__name__).iterdir())
    return sorted(name.removesuffix(".js") for name in files if name.endswith(".js"))


def source(name: str) -> str:
    """Return the text of a module or of the style sheet.

    Args:
        name: A name that `module_names` gives, or `STYLE`.

    Raises:
        FileNotFoundError: There is no such file in this installation.
    """
    file = name if name == STYLE else f"{name}.js"
    return resources.files(__name__).joinpath(file).read_text(encoding="utf-8")
