"""Any filter at all, compared with the plainest evaluation in Python."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlfoundry.query.tree import And, Comparison, Field, Node, Not, Or, format_filter
from mlfoundry.records import RunQuery, RunRecord

INF = math.inf
Params = dict[str, dict[str, tuple[str, str]]]  # of each run: name to (type, text)


def matches(node: Node, run: RunRecord, params: Params) -> bool:
    """Tell whether a run matches a tree, in the plainest Python."""
    match node:
        case And(parts):
            return all(matches(part, run, params) for part in parts)
        case Or(parts):
            return any(matches(part, run, params) for part in parts)
        case Not(part):
            return not matches(part, run, params)
    assert isinstance(node, Comparison)
    present, value = looked_up(node.field, run, params)
    if node.operator in ("IS NULL", "IS NOT NULL"):
        return present is (node.operator == "IS NOT NULL")
    return present and compared(node, value)


def looked_up(field: Field, run: RunRecord, params: Params) -> tuple[bool, Any]:
    if field.kind == "metrics":
        summary = run.metrics.get(field.name)
        return summary is not None, summary and getattr(summary, field.aggregate)
    if field.kind == "params":
        typed = params[run.run_name].get(field.name)
        return typed is not None, typed
    if field.kind == "tags":
        return field.name in run.tags, ("str", run.tags.get(field.name))
    if field.name == "ended_at":
        return run.ended_at is not None, run.ended_at
    if field.name == "duration":
        return True, ((run.ended_at or run.last_seen_at) - run.started_at).total_seconds()
    return True, str(getattr(run, field.name))


def compared(node: Comparison, value: Any) -> bool:
    operator, wanted = node.operator, node.value
    if operator in ("!=", "NOT IN", "NOT LIKE", "NOT ILIKE"):
        opposite = {"!=": "=", "NOT IN": "IN", "NOT LIKE": "LIKE", "NOT ILIKE": "ILIKE"}[operator]
        return not compared(Comparison(node.field, opposite, wanted), value)
    if operator == "IN":
        return any(compared(Comparison(node.field, "=", each), value) for each in wanted)
    if isinstance(value, tuple):
        kind, text = value
        value = number_of(kind, text) if isinstance(wanted, float | int) else text
        if value is None:
            return False
        if operator == "=" and str(wanted).lower() in ("true", "false") and isinstance(wanted, str):
            return value in (wanted, wanted.capitalize())
    if isinstance(value, datetime):
        wanted = datetime.fromisoformat(str(wanted)).replace(tzinfo=UTC)
    if operator in ("LIKE", "ILIKE"):
        pattern = re.escape(str(wanted)).replace("%", ".*").replace("_", ".")
        flags = re.DOTALL | (re.IGNORECASE if operator == "ILIKE" else 0)
        return re.fullmatch(pattern, value, flags) is not None
    if operator == "CONTAINS":
        return str(wanted).lower() in value.lower()
    if operator == "=":
        return value == wanted or (isinstance(value, float) and value != value and wanted != wanted)
    return {"<": value < wanted, "<=": value <= wanted, ">": value > wanted, ">=": value >= wanted}[operator]


def number_of(kind: str, text: str) -> float | None:
    if kind == "bool":
        return float(text == "True")
    try:
        return int(text) if kind == "int" else float(text)
    except ValueError:
        return None


COMPARED = ["=", "!=", "<", "<=", ">", ">="]
SOME_NUMBERS = st.sampled_from([0, 1, 2, 10, 0.1, 0.5, -1.5, 0.9, INF, -INF])
SOME_TEXTS = st.sampled_from(
    ["svm", "SVM", "s%", "%v_", "100%_done", "%", "_", "\\", "C:\\data", "true", "False", "", "prod", "2", "'", "many"]
)


def comparisons(fields, operators, values):
    def of(operator):
        if operator.endswith("NULL"):
            return st.none()
        return st.lists(values, min_size=1, max_size=3).map(tuple) if operator.endswith("IN") else values

    return st.sampled_from(operators).flatmap(lambda op: st.builds(Comparison, fields, st.just(op), of(op)))


NULLS, LISTS, LIKES = (
    ["IS NULL", "IS NOT NULL"],
    ["IN", "NOT IN"],
    ["LIKE", "ILIKE", "NOT LIKE", "NOT ILIKE", "CONTAINS"],
)
METRIC = st.builds(
    Field, st.just("metrics"), st.sampled_from(["loss", "acc", "absent"]), st.sampled_from(["last", "min", "max"])
)
NAMED = st.one_of(
    st.builds(Field, st.just("params"), st.sampled_from(["model", "C", "path", "flag", "absent"])),
    st.builds(Field, st.just("tags"), st.sampled_from(["stage", "version", "note", "absent"])),
)
TEXTUAL = st.sampled_from(["run_name", "created_by", "description", "error"]).map(
    lambda name: Field("attributes", name)
)
LEAVES = st.one_of(
    comparisons(METRIC, COMPARED + LISTS + NULLS, SOME_NUMBERS),
    comparisons(NAMED, COMPARED + LISTS + NULLS, SOME_NUMBERS | SOME_TEXTS),
    comparisons(NAMED, LIKES, SOME_TEXTS),
    comparisons(
        TEXTUAL, COMPARED + LIKES + LISTS + NULLS, st.sampled_from(["svm-1", "ann", "s%", "the _%", "x", "cnn"])
    ),
    comparisons(st.just(Field("attributes", "status")), ["=", "!=", *LISTS], st.sampled_from(["FINISHED", "RUNNING"])),
    comparisons(st.just(Field("attributes", "ended_at")), COMPARED + LISTS + NULLS, st.just("2026-01-02 00:00:01.500")),
    comparisons(st.just(Field("attributes", "duration")), COMPARED + LISTS, st.sampled_from([0, 1.5, 90, 86400, 1e6])),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        inner.map(Not),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: And(tuple(parts))),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: Or(tuple(parts))),
    ),
    max_leaves=8,
)


@given(tree=TREES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_any_filter_matches_what_plain_python_says(found, logged_params, backend, tree):
    records = backend.search_runs(RunQuery(backend.get_project(None, "iris").project_id, order_by=("started_at",))).runs
    text = format_filter(tree)
    assert found(text) == [run.run_name for run in records if matches(tree, run, logged_params)], text
