"""Params that a cell tells without a word: names that it gives a literal, once and for all.

``lr = 0.01`` is one. A name that anything else in the cell may bind or change (a loop, a condition, another
assignment, ``global`` in a function, ``config["lr"] = …``) is none: better no param than a wrong one.
"""

from __future__ import annotations

import ast
import operator
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from .masking import is_secret, looks_secret, parsed

LONGEST_TEXT = 200
MOST_LEAVES = 32
MOST_PARAMS = 100
_LARGEST_POWER = 64
_LARGEST_INT = 10**30

_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.LShift: operator.lshift,
}
_CHANGING = frozenset({
    "append", "clear", "extend", "insert", "pop", "popitem", "remove", "reverse", "setdefault", "sort", "update",
    "add", "discard",
})  # fmt: skip


class _NotLiteral(Exception):
    """An expression is no literal, or one that is too large for a param."""


def literal_params(source: str) -> dict[str, Any]:
    r"""Return the literals that a cell assigns at its top level, by name, in their order.

    Args:
        source: As the user typed it, magics and shell lines included.

    Returns:
        Numbers, texts of one line, booleans, None, and small tuples, lists and dicts of those. ``_private`` names,
        names that say that they hold a secret and texts that look like one are left out.

    >>> literal_params("lr = 1e-3\nepochs: int = 2 * 5\nfor depth in range(3):\n    lr2 = 0.1")
    {'lr': 0.001, 'epochs': 10}
    """
    tree = parsed(source)
    if tree is None:
        return {}
    bound = Counter(_bound(tree))
    found: dict[str, Any] = {}
    for statement in tree.body:
        for name, expression in _assigned(statement):
            if bound[name] != 1 or name.startswith("_") or is_secret(name):
                continue
            try:
                value = _literal(expression)
                _check(value)
            except (_NotLiteral, ArithmeticError, ValueError, TypeError, RecursionError):
                continue
            found[name] = value
    return dict(list(found.items())[:MOST_PARAMS])


def _assigned(statement: ast.stmt) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(statement, ast.Assign):
        for target in statement.targets:
            yield from _pairs(target, statement.value)
    elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
        yield from _pairs(statement.target, statement.value)


def _pairs(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(target, ast.Name):
        yield target.id, value
    elif isinstance(target, (ast.Tuple, ast.List)) and isinstance(value, (ast.Tuple, ast.List)):
        if any(isinstance(each, ast.Starred) for each in (*target.elts, *value.elts)):
            return
        if len(target.elts) == len(value.elts):
            for one, its in zip(target.elts, value.elts, strict=True):
                yield from _pairs(one, its)


def _bound(tree: ast.Module) -> Iterator[str]:
    """Give each name as often as anything in the cell may bind or change it in the cell's own namespace."""
    waiting: list[tuple[ast.AST, frozenset[str] | None]] = [(node, None) for node in tree.body]
    while waiting:
        node, shared = waiting.pop()
        is_function = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        is_scope = is_function or isinstance(node, ast.ClassDef)
        for name in _names_bound(node):
            if shared is None or name in shared:
                yield name
        yield from _names_changed(node)
        inner = shared
        if is_scope:
            inner = frozenset(
                name for each in ast.walk(node) if isinstance(each, (ast.Global, ast.Nonlocal)) for name in each.names
            )
        for child in ast.iter_child_nodes(node):
            if isinstance(node, ast.comprehension) and child is node.target:  # bound in a scope of its own
                continue
            waiting.append((child, inner))


def _names_bound(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name) and isinstance(node.ctx, (ast.Store, ast.Del)):
        yield node.id
    elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node.name
    elif isinstance(node, (ast.Import, ast.ImportFrom)):
        for alias in node.names:
            yield (alias.asname or alias.name).partition(".")[0]
    elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)) and node.name:
        yield node.name
    elif isinstance(node, ast.MatchMapping) and node.rest:
        yield node.rest


def _names_changed(node: ast.AST) -> Iterator[str]:
    """Give the names whose values a node changes from within, in whatever scope."""
    target: ast.expr | None = None
    if isinstance(node, (ast.Subscript, ast.Attribute)) and isinstance(node.ctx, (ast.Store, ast.Del)):
        target = node.value
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _CHANGING:
        target = node.func.value
    while isinstance(target, (ast.Subscript, ast.Attribute)):
        target = target.value
    if isinstance(target, ast.Name):
        yield target.id


def _literal(node: ast.expr) -> Any:
    """Return the value of an expression that is a literal, or arithmetic of some."""
    if isinstance(node, ast.Constant) and (node.value is None or isinstance(node.value, (bool, int, float, str))):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        value = _number(_literal(node.operand))
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        left, right = _number(_literal(node.left)), _number(_literal(node.right))
        if isinstance(node.op, (ast.Pow, ast.LShift)) and abs(right) > _LARGEST_POWER:
            raise _NotLiteral
        return _number(_OPERATORS[type(node.op)](left, right))
    if isinstance(node, ast.Tuple):
        return tuple(map(_literal, node.elts))
    if isinstance(node, ast.List):
        return list(map(_literal, node.elts))
    if isinstance(node, ast.Dict):
        keys = [_literal(key) for key in node.keys if key is not None]
        if len(keys) != len(node.values) or not all(isinstance(key, str) for key in keys):
            raise _NotLiteral
        pairs = zip(keys, node.values, strict=True)
        return {key: _literal(value) for key, value in pairs if not is_secret(key)}
    raise _NotLiteral


def _number(value: Any) -> Any:
    if type(value) not in (int, float) or (type(value) is int and abs(value) > _LARGEST_INT):
        raise _NotLiteral
    return value


def _check(value: Any) -> None:
    """Refuse what is too large to be a param, or what might be a secret."""
    leaves = list(_leaves(value))
    if len(leaves) > MOST_LEAVES or (isinstance(value, (tuple, list, dict)) and not leaves):
        raise _NotLiteral
    for leaf in leaves:
        if isinstance(leaf, str) and (len(leaf) > LONGEST_TEXT or "\n" in leaf or looks_secret(leaf)):
            raise _NotLiteral
        if type(leaf) is int:
            _number(leaf)


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from _leaves(inner)
    elif isinstance(value, (tuple, list)):
        for inner in value:
            yield from _leaves(inner)
    else:
        yield value
