"""Names that a question asks for and its project has never seen, with those that come near; values that nothing has.

An unknown name is no error: a script may ask for a metric before the first run has logged it. But most often it is
a slip, and then a list of no runs would hide it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..names import NEAR, SYSTEM_PREFIX, alike
from ..query.parser import parse_filter, parse_order
from ..query.tokens import shortened
from ..query.tree import And, Comparison, Node, Not, Or, find_attribute, format_filter
from ..records import RunQuery, RunStatus
from . import keys
from .database import Transaction
from .projects import Project

_WRITTEN = {"metric": "metrics", "system": "metrics", "param": "params", "tag": "tags"}

_STATUSES = tuple(status.value for status in RunStatus)
_MEANT = {
    "DONE": "FINISHED", "COMPLETE": "FINISHED", "COMPLETED": "FINISHED", "SUCCESS": "FINISHED", "SUCCEEDED": "FINISHED",
    "ENDED": "FINISHED", "FINISH": "FINISHED", "OK": "FINISHED", "ERROR": "FAILED", "FAIL": "FAILED",
    "FAILURE": "FAILED", "CRASHED": "FAILED", "ACTIVE": "RUNNING", "STARTED": "RUNNING", "RUN": "RUNNING",
    "INTERRUPTED": "KILLED", "ABORTED": "KILLED", "CANCELED": "KILLED", "CANCELLED": "KILLED", "STOPPED": "KILLED",
}  # fmt: skip

Asked = dict[tuple[str, str], bool]


def for_query(tx: Transaction, project: Project, query: RunQuery) -> tuple[str, ...]:
    """Return a sentence for each name of a query that no run of the project has; none before anything was logged.

    Who asks for what is absent (``tags.note is null``) hears of it only when a name comes near. A value that nothing
    can have is told as well.
    """
    return (*_of_names(tx, project, query), *_of_values(tx, project, query))


def _of_values(tx: Transaction, project: Project, query: RunQuery) -> Iterator[str]:
    """Yield a sentence for each comparison that no run can match whatever it has."""
    for comparison in _comparisons(parse_filter(query.filter)):
        values = comparison.value if isinstance(comparison.value, tuple) else (comparison.value,)
        field = comparison.field
        if comparison.operator in ("<", "<=", ">", ">=") and any(each != each for each in values):
            yield (
                f"no number is less or greater than nan, so that {format_filter(comparison)} matches no run; "
                f"{field.name} = nan finds those whose last value is NaN"
            )
        is_attribute = field.kind == "attributes" or not keys.kinds_of(tx, project.project_id, field.name)
        if (
            find_attribute(field.name) == "status"
            and is_attribute
            and comparison.operator in ("=", "IN", "!=", "NOT IN")
        ):
            for each in values:
                if str(each).upper() not in _STATUSES:
                    meant = _MEANT.get(str(each).upper())
                    hint = f"; did you mean {meant}?" if meant else ""
                    yield f"no run has the status {shortened(each)}: there are {', '.join(_STATUSES)}{hint}"


def _of_names(tx: Transaction, project: Project, query: RunQuery) -> tuple[str, ...]:
    asked = _asked(query)
    seen = _seen(tx, project, asked)
    unknown = {name: needs_near for name, needs_near in asked.items() if name not in seen}
    if not unknown or not _has_names(tx, project.project_id):
        return ()
    found = []
    for (kind, name), needs_near in unknown.items():
        near = near_names(tx, project.project_id, name, kind)
        if near or not needs_near:
            shown = "system metric" if kind == "system" else kind
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            found.append(f"no run of {project.owner}/{project.name} has a {shown} {name!r}{hint}")
    return tuple(found)


def near_names(tx: Transaction, project_id: int, name: str, kind: str | None = None) -> list[str]:
    """Return names near to an unknown one as a filter writes them, at most `NEAR`, the nearest first.

    Args:
        tx: Where to look.
        project_id: The project.
        name: What was asked for.
        kind: As what: metric, system, param or tag; None for any of them.
    """
    kinds = keys.KINDS if kind is None else (kind,)
    near = [_written(each, found) for each in kinds for found in alike(name, keys.names(tx, project_id, each))]
    if not near and kind is not None:  # the right name, written as another kind
        near = [_written(each, name) for each in keys.KINDS if each in keys.kinds_of(tx, project_id, name)]
    return near[:NEAR]


def _written(kind: str, name: str) -> str:
    is_plain = all(part.replace("_", "a").replace("-", "a").isalnum() for part in name.replace(".", "/").split("/"))
    return f"{_WRITTEN[kind]}.{name}" if is_plain else f"{_WRITTEN[kind]}.`{name}`"


def _asked(query: RunQuery) -> Asked:
    """Return the names that a query writes with their kind, and whether each is asked for in its absence only."""
    asked: Asked = {}
    for comparison in _comparisons(parse_filter(query.filter)):
        _ask(asked, comparison.field.kind, comparison.field.name, is_absence=comparison.operator == "IS NULL")
    for term in parse_order(query.order_by):
        _ask(asked, term.field.kind, term.field.name)
    for kind, names in (("metrics", query.metrics), ("params", query.params), ("tags", query.tags)):
        for name in names or ():
            _ask(asked, kind, name)
    return asked


def _ask(asked: Asked, written: str | None, name: str, *, is_absence: bool = False) -> None:
    kinds = {"metrics": "metric", "params": "param", "tags": "tag"}
    if written in kinds:
        kind = "system" if written == "metrics" and name.startswith(SYSTEM_PREFIX) else kinds[written]
        asked[kind, name] = asked.get((kind, name), True) and is_absence


def _comparisons(node: Node | None) -> Iterator[Comparison]:
    match node:
        case And(parts) | Or(parts):
            for part in parts:
                yield from _comparisons(part)
        case Not(part):
            yield from _comparisons(part)
        case Comparison():
            yield node


def _seen(tx: Transaction, project: Project, asked: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    ids = {(kind, keys.key_id(name)): (kind, name) for kind, name in asked}
    found = set()
    for kind in {kind for kind, _ in ids}:
        wanted = [key_id for each, key_id in ids if each == kind]
        marks = ", ".join("?" for _ in wanted)
        rows = tx.rows(
            f"SELECT key_id FROM key WHERE project_id = ? AND kind = ? AND key_id IN ({marks})",
            (project.project_id, kind, *wanted),
        )
        found |= {ids[kind, key_id] for (key_id,) in rows}
    return found


def _has_names(tx: Transaction, project_id: int) -> bool:
    return tx.row("SELECT 1 FROM key WHERE project_id = ? AND kind <> 'system' LIMIT 1", (project_id,)) is not None
