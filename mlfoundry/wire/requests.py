"""What a client asks for: runs to be made, changes, and questions for runs and points, as JSON."""

from __future__ import annotations

from ..records import NewRun, RunChanges, RunKey, RunQuery, SeriesQuery
from .plain import Json, only, reading, text, whole


def new_run_json(new: NewRun) -> Json:
    """Return a run to be made as JSON."""
    return {name: getattr(new, name) for name in NewRun.__slots__} | {"tags": dict(new.tags)}


def read_new_run(told: Json) -> NewRun:
    """Return a run to be made from JSON."""
    with reading("run to be made"):
        only(told, NewRun.__slots__)
        for name in ("run_id", "project_name", "run_name", "description"):
            text(name, told[name])
        if told["owner"] is not None:
            text("owner", told["owner"])
        return NewRun(**{**told, "tags": dict(told["tags"]), "started_at_us": whole("started_at_us", told)})


def changes_json(changes: RunChanges) -> Json:
    """Return changes of a run as JSON: only what changes is named."""
    told = {name: getattr(changes, name) for name in RunChanges.__slots__}
    return {name: dict(value) if name == "tags" else value for name, value in told.items() if value is not None}


def read_changes(told: Json) -> RunChanges:
    """Return changes of a run from JSON."""
    with reading("change of a run"):
        only(told, RunChanges.__slots__)
        return RunChanges(**told)


def run_query_json(query: RunQuery) -> Json:
    """Return a question for runs as JSON."""
    return {name: getattr(query, name) for name in RunQuery.__slots__ if name != "project_id"}


def read_run_query(project_id: int, told: Json) -> RunQuery:
    """Return a question for runs of a project from JSON; what is not named has its default."""
    with reading("question for runs"):
        only(told, RunQuery.__slots__)
        given = dict(told)
        for name in ("order_by", "params", "metrics", "tags"):
            if given.get(name) is not None:
                given[name] = tuple(text(name, each) for each in given[name])
        for name in ("filter", "view"):
            if name in given:
                text(name, given[name])
        if given.get("cursor") is not None:
            text("cursor", given["cursor"])
        for name in ("limit", "offset"):
            if name in given:
                whole(name, given)
        return RunQuery(**{**given, "project_id": project_id})


def series_query_json(query: SeriesQuery) -> Json:
    """Return a question for points as JSON."""
    return {
        "names": query.names,
        "system": query.system,
        "max_points": query.max_points,
        "since": dict(query.since),
        **({} if query.most is None else {"most": query.most}),
    }


def read_series_query(run: RunKey, told: Json) -> SeriesQuery:
    """Return a question for points of a run from JSON; what is not named has its default."""
    with reading("question for points"):
        only(told, SeriesQuery.__slots__)
        names = told.get("names")
        since = {text("since", name): whole(name, told["since"]) for name in told.get("since") or {}}
        return SeriesQuery(
            run,
            None if names is None else tuple(text("names", name) for name in names),
            system=None if told.get("system", False) is None else bool(told.get("system", False)),
            max_points=None if told.get("max_points") is None else whole("max_points", told),
            since=since,
            most=None if told.get("most") is None else whole("most", told),
        )
