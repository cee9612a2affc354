"""Runs: how they come to be, under which names, and as records of all that is known of each.

How a run lives is the business of `lives`, what it is told in words that of `attributes`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from .. import names
from ..errors import ProjectNotFound
from ..records import MetricSummary, NewRun, Permission, RunKey, RunRecord, RunRows, RunStatus
from ..summaries import Summaries
from ..values import param_value, utc
from . import attributes, keys, projects
from .database import Row, Transaction
from .projects import Project

COLUMNS = (
    "run_id, name, status, created_by, started_at, ended_at, last_seen_at, description, error, deleted_at, project_id"
)
_BLOCK = 5000  # run ids in one statement
FIRST_BEYOND = 6  # suffixes below it have no gap
_SOUGHT_AT_ONCE = 8  # names
_STATUS = {status.value: status for status in RunStatus}  # asking the enum costs ten times as much


def make(
    tx: Transaction, project: Project, new: NewRun, user: str, now_us: int, *, first: str | None
) -> RunRecord | None:
    """Make a run that runs, under a free name; the same run again is a no-op.

    Args:
        tx: The transaction.
        project: Its project, which is locked, and counts the run already, see `projects.count_run`.
        new: The run.
        user: Who makes it.
        now_us: The clock.
        first: The name to try before any is looked up; None when the wish is taken, as far as one knows.

    Returns:
        The run; None when its id is that of a run of another project.
    """
    run = RunKey(project.project_id, new.run_id)
    blob = bytes.fromhex(new.run_id)
    claimed = tx.row(
        "INSERT INTO run_home (run_id, project_id) VALUES (?, ?) ON CONFLICT (run_id) DO NOTHING RETURNING run_id",
        (blob, run.project_id),
    )
    if claimed is None:
        projects.count_run(tx, project.project_id, -1)
        return get(tx, project, new.run_id) if home(tx, new.run_id) == run else None
    rest = ("RUNNING", user, new.started_at_us, None, now_us, new.description, "", None, run.project_id)
    names_to_try = _wishes(tx, run.project_id, new.run_name, first)
    row = next(row for name in names_to_try if _insert(tx, row := (blob, name, *rest)))
    attributes.set_tags(tx, run, new.tags)
    tags = {name: str(text) for name, text in sorted(new.tags.items())}
    return _record(project, row, params={}, tags=tags, metrics=Summaries([], {}))


def _insert(tx: Transaction, row: Row) -> bool:
    """Insert a run; return False, and do nothing, when its name is taken."""
    made = tx.row(
        f"INSERT INTO run ({COLUMNS}) VALUES ({_marks(row)}) "
        "ON CONFLICT (project_id, name) WHERE deleted_at IS NULL DO NOTHING RETURNING name",
        row,
    )
    return made is not None


def free_name(tx: Transaction, project_id: int, wish: str) -> str:
    """Return the wish, or with a suffix that is free; others who ask wait for this transaction."""
    if not projects.lock(tx, project_id):
        raise ProjectNotFound(f"the project of {wish!r} was deleted just now")
    return next(name for name in _wishes(tx, project_id, wish, wish) if by_name(tx, project_id, name) is None)


def _wishes(tx: Transaction, project_id: int, wish: str, first: str | None) -> Iterator[str]:
    """Give the names to try for a run, the last of which is free: the wish, and what comes next where that is taken.

    A `first` one is given before anything is looked up.

    A gap among the first suffixes is filled. Beyond them all may have been taken in turn, by as many runs of one name:
    what follows the project's latest run is tried, and then sought by halving.
    """
    if first is not None:
        yield first
    few = range(2 if first == wish else 1, FIRST_BEYOND)
    latest = "(SELECT name FROM run WHERE project_id = ? ORDER BY started_at DESC, run_id DESC LIMIT 1)"
    *used, name = _used(tx, project_id, wish, few, also=latest)
    if (gap := _first_unused(few, used)) is not None:
        yield names.numbered(wish, gap)
    number = None if name is None else names.number_of(name, wish)
    if number is not None and number >= FIRST_BEYOND:
        yield names.numbered(wish, number + 1)
    yield _sought(tx, project_id, wish)


def _sought(tx: Transaction, project_id: int, wish: str) -> str:
    """Return a name that is free, whose number is one more than that of a name that is taken."""
    low, high = FIRST_BEYOND - 1, 0
    numbers: Sequence[int] = [8**power for power in range(1, 7)]
    while high - low != 1:
        found = _first_unused(numbers, _used(tx, project_id, wish, numbers))
        low = max((number for number in numbers if found is None or number < found), default=low)
        high = high if found is None else found
        is_between = high > low
        numbers = range(low + 1, high, (high - low) // _SOUGHT_AT_ONCE + 1) if is_between else (low * 2, low * 4)
    return names.numbered(wish, high)


def _used(tx: Transaction, project_id: int, wish: str, numbers: Iterable[int], *, also: str = "") -> Row:
    """Return for each number whether the wish with it is the name of a run, and what `also` finds in the project.

    Each name has a look-up of its own: for a list of them PostgreSQL reads all names of a project that it knows
    little about.
    """
    wanted = [names.numbered(wish, number) for number in numbers]
    one = "(SELECT 1 FROM run WHERE project_id = ? AND name = ? AND deleted_at IS NULL)"
    asked = [*[one] * len(wanted), *([also] if also else [])]
    values = [value for name in wanted for value in (project_id, name)] + ([project_id] if also else [])
    row = tx.row(f"SELECT {', '.join(asked)} FROM project WHERE project_id = ?", [*values, project_id])
    assert row is not None
    return row


def _first_unused(numbers: Iterable[int], used: Iterable[object]) -> int | None:
    return next((number for number, is_used in zip(numbers, used, strict=True) if not is_used), None)


def is_open(tx: Transaction, run: RunKey) -> bool | None:
    """Return whether data is taken for a run: False when it is deleted, None when there is none."""
    row = tx.row(
        "SELECT deleted_at FROM run WHERE project_id = ? AND run_id = ?", (run.project_id, bytes.fromhex(run.run_id))
    )
    return None if row is None else row[0] is None


def home(tx: Transaction, run_id: str) -> RunKey | None:
    """Return where a run lies, by its id alone; None when there is no such run."""
    row = tx.row("SELECT project_id FROM run_home WHERE run_id = ?", (bytes.fromhex(run_id),))
    return None if row is None else RunKey(row[0], run_id)


def homes(tx: Transaction) -> list[RunKey]:
    """Return all runs of all projects, for what is no user's question, such as a check of the bytes."""
    return [
        RunKey(project_id, run_id.hex()) for project_id, run_id in tx.rows("SELECT project_id, run_id FROM run_home")
    ]


def by_name(tx: Transaction, project_id: int, name: str) -> RunKey | None:
    """Return the run of a name that is not deleted, None when there is none."""
    row = tx.row("SELECT run_id FROM run WHERE project_id = ? AND name = ? AND deleted_at IS NULL", (project_id, name))
    return None if row is None else RunKey(project_id, row[0].hex())


def seen_by(tx: Transaction, run: RunKey, user: str) -> tuple[Project, Permission, bool | None] | None:
    """Return a run's project, what a user may do in it, and whether data is taken for the run.

    Returns:
        None when there is no such project, or the user may do nothing in it. Data is taken unless the run is deleted;
        of a run that is not there it is None.
    """
    row = tx.row(
        "SELECT p.project_id, p.owner, p.name, p.created_at, m.permission, r.run_id, r.deleted_at FROM member m "
        "JOIN project p ON p.project_id = m.project_id "
        "LEFT JOIN run r ON r.project_id = m.project_id AND r.run_id = ? WHERE m.project_id = ? AND m.user_id = ?",
        (bytes.fromhex(run.run_id), run.project_id, user),
    )
    if row is None:
        return None
    is_open = None if row[5] is None else row[6] is None
    return Project(row[0], row[1], row[2], utc(row[3])), Permission(row[4]), is_open


def get(tx: Transaction, project: Project, run_id: str) -> RunRecord | None:
    """Return a run with all its values, None when there is none."""
    row = tx.row(
        f"SELECT {COLUMNS} FROM run WHERE project_id = ? AND run_id = ?",
        (project.project_id, bytes.fromhex(run_id)),
    )
    return None if row is None else fill(tx, project, [row])[0]


def fill(
    tx: Transaction,
    project: Project,
    rows: list[Row],
    *,
    params: tuple[str, ...] | None = None,
    tags: tuple[str, ...] | None = None,
    metrics: tuple[str, ...] | None = None,
) -> list[RunRecord]:
    """Return records from rows of COLUMNS, with the values asked for (None: all of a kind)."""
    found_params: dict[bytes, dict[str, object]] = {row[0]: {} for row in rows}
    found_tags: dict[bytes, dict[str, str]] = {row[0]: {} for row in rows}
    found_metrics: dict[bytes, list[Row]] = {row[0]: [] for row in rows}
    of_all, metric_names = _metrics(tx, project.project_id, rows, metrics)
    for each in of_all:
        found_metrics[each[0]].append(each)
    if params != () or tags != ():
        for run_id, kind, name, type_, text in _attributes(tx, project.project_id, rows, params, tags):
            if kind == "param":
                found_params[run_id][name] = param_value(type_, text)
            else:
                found_tags[run_id][name] = text
    return [
        _record(
            project,
            row,
            params=found_params[row[0]],
            tags=found_tags[row[0]],
            metrics=Summaries(found_metrics[row[0]], metric_names),
        )
        for row in rows
    ]


def as_rows(
    tx: Transaction,
    project: Project,
    rows: list[Row],
    *,
    params: tuple[str, ...] | None = None,
    tags: tuple[str, ...] | None = None,
    metrics: tuple[str, ...] | None = None,
    next_cursor: str | None,
    hints: tuple[str, ...],
) -> RunRows:
    """Return what `fill` returns as the rows that it is made of."""
    has_attributes = params != () or tags != ()
    found, metric_names = _metrics(tx, project.project_id, rows, metrics)
    return RunRows(
        project_id=project.project_id,
        owner=project.owner,
        project_name=project.name,
        runs=[row[:10] for row in rows],
        attributes=_attributes(tx, project.project_id, rows, params, tags) if has_attributes else [],
        metrics=found,
        metric_names=metric_names,
        next_cursor=next_cursor,
        hints=hints,
    )


def _record(
    project: Project,
    row: Row,
    *,
    params: Mapping[str, object],
    tags: Mapping[str, str],
    metrics: Mapping[str, MetricSummary],
) -> RunRecord:
    return RunRecord(
        key=RunKey(project.project_id, row[0].hex()),
        owner=project.owner,
        project_name=project.name,
        run_name=row[1],
        status=_STATUS[row[2]],
        created_by=row[3],
        started_at=utc(row[4]),
        ended_at=None if row[5] is None else utc(row[5]),
        last_seen_at=utc(row[6]),
        description=row[7],
        error=row[8],
        deleted_at=None if row[9] is None else utc(row[9]),
        params=params,
        tags=tags,
        metrics=metrics,
    )


def _marks(values: Iterable[object]) -> str:
    return ", ".join("?" for _ in values)


def _attributes(
    tx: Transaction, project_id: int, rows: list[Row], params: tuple[str, ...] | None, tags: tuple[str, ...] | None
) -> list[Row]:
    conditions, values = [], []
    for kind, wanted in (("param", params), ("tag", tags)):
        if wanted is None:
            conditions.append("kind = ?")
            values.append(kind)
        elif wanted:
            conditions.append(f"(kind = ? AND name IN ({_marks(wanted)}))")
            values += [kind, *wanted]
    found: list[Row] = []
    for start in range(0, len(rows), _BLOCK):
        ids = [row[0] for row in rows[start : start + _BLOCK]]
        found += tx.rows(
            "SELECT run_id, kind, name, type, text FROM attr "
            f"WHERE project_id = ? AND run_id IN ({_marks(ids)}) AND ({' OR '.join(conditions)})",
            (project_id, *ids, *values),
        )
    return found


def _metrics(
    tx: Transaction, project_id: int, rows: list[Row], wanted: tuple[str, ...] | None
) -> tuple[list[Row], dict[int, str]]:
    """Return the rows of `Summaries` of all runs, and the names of their keys."""
    found: list[Row] = []
    if wanted == ():
        return found, {}
    known = {keys.key_id(name): name for name in (keys.names(tx, project_id, "metric") if wanted is None else wanted)}
    few = wanted is not None
    for start in range(0, len(rows), _BLOCK):
        ids = [row[0] for row in rows[start : start + _BLOCK]]
        sql = (
            "SELECT run_id, key_id, n, last, last_step, last_at, lowest, highest FROM series "
            f"WHERE project_id = ? AND run_id IN ({_marks(ids)}) AND system = 0"
        )
        if few:
            sql += f" AND key_id IN ({_marks(known)})"
        found += tx.rows(sql, (project_id, *ids, *(known if few else ())))
    return found, known


# -- changes -------------------------------------------------------------------------------------


def describe(tx: Transaction, run: RunKey, text: str) -> None:
    """Set the description."""
    tx.run(
        "UPDATE run SET description = ? WHERE project_id = ? AND run_id = ?",
        (text, run.project_id, bytes.fromhex(run.run_id)),
    )


def rename(tx: Transaction, run: RunKey, wish: str) -> None:
    """Give a run another name, with a suffix when it is taken."""
    if by_name(tx, run.project_id, wish) == run:
        return
    name = free_name(tx, run.project_id, wish)
    tx.run(
        "UPDATE run SET name = ? WHERE project_id = ? AND run_id = ?", (name, run.project_id, bytes.fromhex(run.run_id))
    )
