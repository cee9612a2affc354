"""The pages: each is whole without a script as far as reading goes, and gives its modules what they begin with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from ... import displays
from ...errors import InvalidFilter, NotAuthenticated, NotFound, TooManyAttempts
from ...panels import frames
from ...records import Permission, ProjectRecord, RunQuery, RunRecord
from ..context import Caller, Has, no_content, room
from ..gates import drop_session, gate_of, require_own_origin, set_session
from ..policy import Needs, needs
from .rendering import base_of, login_page, page
from .sources import code_json

router = room("dashboard")
SERVED_RUNS = 50
COMPARED_MOST = 20


# -- the way in ------------------------------------------------------------------------------------


@router.get("/login", include_in_schema=False)
@needs(Needs.NOTHING)
async def login_by_link(request: Request, token: str = "", next: str = "/") -> Response:  # noqa: A002
    """Show where to show who one is; with the token of a link, let in at once."""
    gate = gate_of(request)
    if token and not gate.takes_keys:
        return await run_in_threadpool(_let_in, request, token, next)
    return login_page(request, wanted=_local(next))


@router.post("/login", include_in_schema=False)
@needs(Needs.NOTHING)
async def login(request: Request) -> Response:
    """Let somebody in who has an API key, or the token of this process."""
    require_own_origin(request)
    told = parse_qs((await request.body()).decode("utf-8", "replace"))
    return await run_in_threadpool(_let_in, request, told.get("secret", [""])[0], told.get("next", ["/"])[0])


def _let_in(request: Request, secret: str, wanted: str) -> Response:
    try:
        with request.app.state.attempts.counting(request):
            session = gate_of(request).begin(secret)
    except NotAuthenticated as error:
        headers, status = {"WWW-Authenticate": "Bearer"}, 401
        if isinstance(error, TooManyAttempts):
            headers, status = {"Retry-After": f"{error.retry_after_s or 60:.0f}"}, 429
        return login_page(request, status=status, headers=headers, message=str(error), wanted=_local(wanted))
    response = RedirectResponse(base_of(request) + _local(wanted), 303)
    set_session(request, response, session)
    return response


def _local(wanted: str) -> str:
    """Return a path of this server, whatever was asked for."""
    is_path = wanted.startswith("/") and wanted[1:2] not in ("/", "\\") and wanted.isprintable() and wanted.isascii()
    return wanted if is_path and not wanted.startswith("/login") else "/"


@router.post("/logout", include_in_schema=False)
@needs(Needs.KEY)
def logout(request: Request) -> Response:
    """End the session of this browser."""
    session = getattr(request.state, "session", None)
    response = no_content()
    if session is not None:
        gate_of(request).end(session)
        drop_session(request, response)
    return response


# -- the pages -------------------------------------------------------------------------------------


@router.get("/", include_in_schema=False)
@needs(Needs.KEY)
def projects(request: Request, has: Has, caller: Caller) -> Response:
    """Show the projects that the caller may see."""
    found = has.tracking.list_projects(caller.user)
    return page(request, "projects", title="Projects", projects=found)


@router.get("/p/{owner}/{name}", include_in_schema=False)
@needs(Needs.READ)
def runs(request: Request, has: Has, caller: Caller, owner: str, name: str) -> Response:
    """Show the runs of a project: the first of them, filtered and sorted as the address says."""
    project = has.tracking.get_project(caller.user, owner, name)
    wanted, sort = request.query_params.get("filter", ""), request.query_params.get("sort", "")
    said: dict[str, str] = {}
    try:
        records = _first_runs(has, caller.user, project, wanted, sort)
    except InvalidFilter:  # the address may hold anything; the module says where the mistake is
        for what, alone in (("filter", (wanted, "")), ("order", ("", sort))):
            try:
                _first_runs(has, caller.user, project, *alone)
            except InvalidFilter as error:
                said[what] = str(error.args[0])
        wanted, sort = "" if "filter" in said else wanted, "" if "order" in said else sort
        records = _first_runs(has, caller.user, project, wanted, sort)
    return page(
        request, "runs", title=f"{owner}/{name}", project=project, table=_table(records), said=said,
        compares=request.query_params.get("compare") == "1",
        told=_project_told(project, caller.user) | {"store": request.app.state.place},
    )  # fmt: skip


def _first_runs(has: Has, user: str, project: ProjectRecord, wanted: str, sort: str) -> Sequence[RunRecord]:
    order = (_order(sort),) if sort else ()
    query = RunQuery(project.project_id, wanted, order, limit=SERVED_RUNS)
    return has.tracking.search_runs(user, query).runs


def _order(sort: str) -> str:
    """Return an order as a search takes it; in an address a ``-`` stands for the other way round."""
    return f"{sort[1:]} desc" if sort.startswith("-") else sort


def _table(records: Sequence[RunRecord]) -> dict[str, Any]:
    """Return a table of runs for a template: heads, whether each holds numbers, and rows with their run."""
    columns = displays.RunColumns(records)
    rows = [(record, columns.cells(record)[2:]) for record in records]
    return {"heads": columns.headers[2:], "numeric": columns.numeric[2:], "rows": rows}


def _project_told(project: ProjectRecord, user: str) -> dict[str, Any]:
    return {"project": frames.project_json(project), "me": user}


@router.get("/p/{owner}/{name}/compare", include_in_schema=False)
@needs(Needs.READ)
def compare(request: Request, has: Has, caller: Caller, owner: str, name: str) -> Response:
    """Show some runs of a project side by side; ``runs`` in the address holds their ids."""
    project = has.tracking.get_project(caller.user, owner, name)
    ids = [each for each in request.query_params.get("runs", "").split(",") if each][:COMPARED_MOST]
    records = [record for each in ids if (record := _find_run(has, caller.user, project, each))]
    names = sorted({name for record in records for name in record.params})
    params = [(name, [record.params.get(name) for record in records]) for name in names]
    differing = [(name, values) for name, values in params if len({str(value) for value in values}) > 1]
    metrics = sorted({name for record in records for name in record.metrics})
    return page(
        request, "compare", title=f"Compare {owner}/{name}", project=project, runs=records, params=differing,
        same=len(params) - len(differing), metrics=metrics, told=_project_told(project, caller.user),
    )  # fmt: skip


def _find_run(has: Has, user: str, project: ProjectRecord, run_id: str) -> RunRecord | None:
    try:
        record = has.tracking.get_run(user, run_id)
    except NotFound:
        return None
    return record if record.key.project_id == project.project_id else None


@router.get("/p/{owner}/{name}/people", include_in_schema=False)
@needs(Needs.READ)
def people(request: Request, has: Has, caller: Caller, owner: str, name: str) -> Response:
    """Show who has access to a project."""
    project = has.tracking.get_project(caller.user, owner, name)
    found = has.tracking.list_collaborators(caller.user, project.project_id)
    return page(
        request, "people", title=f"Collaborators of {owner}/{name}", project=project, people=found,
        told=_project_told(project, caller.user),
    )  # fmt: skip


@router.get("/r/{run_id}", include_in_schema=False)
@needs(Needs.READ)
def run(request: Request, has: Has, caller: Caller, run_id: str) -> Response:
    """Show one run."""
    record = has.tracking.get_run(caller.user, run_id)
    facts = has.tracking.get_facts(caller.user, record.key)
    told = {
        "run_id": record.key.run_id,
        "project_id": str(record.key.project_id),
        "owner": record.owner,
        "project": record.project_name,
        "may_write": has.tracking.permission(caller.user, record.key.project_id) >= Permission.WRITE,
        "status": record.status.value,
    }
    return page(
        request, "run", title=record.run_name, run=record, facts=facts, told=told, took=displays.duration_s(record),
        code=code_json(has.tracking, caller.user, record.key),
        files=has.tracking.list_artifacts(caller.user, record.key),
    )  # fmt: skip


@router.get("/account", include_in_schema=False)
@needs(Needs.KEY)
def account(request: Request, has: Has, caller: Caller) -> Response:
    """Show who one is and one's API keys."""
    has_keys = gate_of(request).takes_keys
    keys = has.accounts.list_keys(caller, caller.user) if has_keys else []
    return page(request, "account", title="Account", keys=keys)
