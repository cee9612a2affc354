"""The columns that ``mlfoundry runs --columns`` asks for, in the words of the filter language."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .. import displays, suggestions
from ..errors import InvalidFilter
from ..names import alike
from ..records import RunRecord
from . import documents
from .layout import STACKED_LEAST, Grid

if TYPE_CHECKING:
    from ..client import Client
    from ..query.tree import Field

_KINDS = {"metrics": "metric", "params": "param", "tags": "tag"}


@dataclass(frozen=True)
class Columns:
    """Columns of a table of runs; false when the usual ones are meant."""

    fields: tuple[Field, ...]

    def __bool__(self) -> bool:
        return bool(self.fields)

    def names(self, kind: str) -> list[str] | None:
        """Return which ``params``, ``metrics`` or ``tags`` must be fetched; None for all of them."""
        return [field.name for field in self.fields if field.kind == kind] if self.fields else None

    def document(self, record: RunRecord) -> dict[str, Any]:
        """Return a run's values as JSON can hold them."""
        values = {_title(field): _as_json(_value(field, record)) for field in self.fields}
        fqn = f"{record.owner}/{record.project_name}/{record.run_name}"
        return {"run_id": record.key.run_id, "fqn": fqn, "values": values}

    def text(self, records: Sequence[RunRecord], width: int | None) -> str:
        """Return a table of the runs; columns that do not fit beside each other stand below."""
        rows = [[_cell(field, record) for field in self.fields] for record in records]
        status = [i for i, field in enumerate(self.fields) if (field.kind, field.name) == ("attributes", "status")]
        names = [i for i, field in enumerate(self.fields[:2]) if field.name in ("run_name", "run_id")]
        numeric = [_is_numeric(field, records) for field in self.fields]
        table = Grid([_title(field) for field in self.fields], rows, numeric, fixed=status, keep=STACKED_LEAST)
        return table.stacked(1 + max(names, default=0), width)


def parse(client: Client, project: str, text: str) -> Columns:
    """Read columns; a bare name is looked up in the project.

    Raises:
        InvalidFilter: A column cannot be read, is unknown, or could be several things.
    """
    from ..query.parser import parse_order

    if not text.strip():
        return Columns(())
    terms = parse_order(text)
    known: dict[str, set[str]] = {}
    if any(term.field.kind is None for term in terms):
        project_id = client.get_project(project).project_id
        known = {kind: set(client.backend.list_keys(project_id, key)) for kind, key in _KINDS.items()}
    return Columns(tuple(_resolved(term.field, known, text, term.position, term.length) for term in terms))


def _resolved(field: Field, known: dict[str, set[str]], text: str, position: int, length: int) -> Field:
    """Return the field that a bare name means in this project."""
    from ..query.tree import ATTRIBUTES, find_attribute
    from ..query.tree import Field as Resolved

    if field.kind is not None:
        return field
    kinds = [kind for kind, names in known.items() if field.name in names]
    attribute = find_attribute(field.name)
    if attribute is not None:
        kinds.append("attributes")
    if len(kinds) == 1:
        name = attribute if kinds == ["attributes"] and attribute else field.name
        return Resolved(kinds[0], name, field.aggregate)
    if kinds:
        ways = " or ".join(f"{kind}.{field.name}" for kind in kinds)
        message = f"{field.name!r} is several things here: write {ways}"
    else:
        everything = {f"{each}.{name}": name for each, names in known.items() for name in sorted(names)}
        written = {name: way for way, name in everything.items()} | {name: name for name in ATTRIBUTES}
        near = [written[name] for name in alike(field.name, written)]
        message = f"no run of this project has a metric, param, tag or attribute {field.name!r}."
        message = (message + suggestions.sentence(near)).rstrip(".")
    raise InvalidFilter(message, text=text, position=position, length=length)


def _title(field: Field) -> str:
    if field.kind == "attributes":
        return field.name
    title = f"{field.kind}.{field.name}"
    return title if field.aggregate == "last" else f"{field.aggregate}({title})"


def _value(field: Field, record: RunRecord) -> Any:
    if field.kind == "metrics":
        summary = record.metrics.get(field.name)
        return None if summary is None else getattr(summary, field.aggregate)
    if field.kind == "params":
        return record.params.get(field.name)
    if field.kind == "tags":
        return record.tags.get(field.name)
    if field.name == "duration":
        return displays.duration_s(record)
    return record.key.run_id if field.name == "run_id" else getattr(record, field.name)


def _is_numeric(field: Field, records: Sequence[RunRecord]) -> bool:
    if field.kind == "params":
        values = [record.params[field.name] for record in records if field.name in record.params]
        return all(value is None or isinstance(value, (int, float)) for value in values)
    return field.kind == "metrics" or field.name == "duration"


def _cell(field: Field, record: RunRecord) -> str:
    value = _value(field, record)
    if value is None:
        return "None" if field.kind == "params" and field.name in record.params else displays.ABSENT
    if field.kind == "attributes":
        if field.name == "status":
            return displays.status_text(value)
        if field.name == "duration":
            return displays.span(value)
        if field.name in ("started_at", "ended_at"):
            return displays.age(value)
    return displays.figure(value)


def _as_json(value: Any) -> Any:
    return documents.time_text(value) if hasattr(value, "isoformat") else documents.value(value)
