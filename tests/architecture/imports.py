"""Which module imports which, read from the source: nothing is executed."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("mlfoundry", "mlfoundry_jupyter")


@dataclass(frozen=True)
class Import:
    """One module names another.

    Attributes:
        importer: Full name of the module that imports.
        imported: Full name of the module, ours or not.
        when: ``load`` (with the module), ``call`` (inside a function) or ``typing`` (never executed).
        line: Where.
    """

    importer: str
    imported: str
    when: str
    line: int


def sources() -> dict[str, Path]:
    """Return all modules of the packages by full name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports() -> list[Import]:
    """Return all imports of the packages, each once."""
    modules = sources()
    found: dict[Import, None] = {}
    for name, path in modules.items():
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        for node, when in _statements(ast.parse(path.read_text(encoding="utf-8")), "load"):
            for imported in _named(node, package, modules):
                found[Import(name, imported, when, node.lineno)] = None
    return list(found)


def _statements(node: ast.AST, when: str) -> Iterator[tuple[ast.Import | ast.ImportFrom, str]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.Import, ast.ImportFrom)):
            yield child, when
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            yield from _statements(child, "typing")
        elif isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) and when == "load":
            yield from _statements(child, "call")
        else:
            yield from _statements(child, when)


def _named(node: ast.Import | ast.ImportFrom, package: str, modules: dict[str, Path]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    base = node.module or ""
    if node.level:
        parents = package.split(".")
        parents = parents[: len(parents) - (node.level - 1)]
        base = ".".join([*parents, base] if base else parents)
    for alias in node.names:
        inner = f"{base}.{alias.name}"
        yield inner if inner in modules else base


def room(module: str) -> str:
    """Return the room of a module of ours: the file or folder directly below the package; ``""`` is the package."""
    parts = module.split(".")
    if parts[0] == "mlfoundry_jupyter":
        return parts[0]
    return parts[1] if len(parts) > 1 else ""
