"""The runs of a notebook's cells: begun by the magics, ended by what IPython says of each cell's end.

A run of one cell belongs to the execution that began it and ends with it. A run over several cells (`Cells.open`)
records each of them until it is ended. A shell without runs has none of this: it is made when the first magic is used.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any

from IPython.core.error import UsageError

import mlfoundry
from mlfoundry import Client, Run, RunStatus, StoredRun, displays, settings, values

from . import first_line, notices, rerun
from .arguments import Learning, Request
from .changes import Changes, Former, compare
from .executions import Execution, Executions
from .notices import Notice
from .recording import Learned, Recording, is_worth_recording, status_of

_LOST = "IPython did not say how its cell ended"


@dataclass(slots=True)
class CellRun:
    """A run that a magic began.

    Attributes:
        run: The run.
        request: As it was asked for.
        key: Which cell began it, see `rerun.cell_key`.
        recording: The cell of it that is executed now; None between cells.
        former: The cell's last run, to compare with.
        count: How many of its cells were recorded.
        status: How its last cell ended.
        error: The exception that its last cell ended with.
        covered: What the variable `run` held before.
        has_panel: Whether a panel shows it, so that less needs to be said.
    """

    run: Run
    request: Request
    key: str
    recording: Recording | None = None
    former: Former | None = None
    count: int = 0
    status: RunStatus = RunStatus.FINISHED
    error: BaseException | None = None
    covered: Any = None
    has_panel: bool = False


class Cells:
    """What the extension knows of one shell's cells and runs.

    Args:
        shell: IPython's shell.
        executions: Which cells it executes now.

    Attributes:
        open: The run over several cells that is open, if any.
        last: The run that was begun last.
    """

    def __init__(self, shell: Any, executions: Executions) -> None:
        self.shell = shell
        self.executions = executions
        self.open: CellRun | None = None
        self.last: Run | None = None
        self._client: Client | None = None
        self._by_cell: dict[str, Run] = {}

    # -- the client ------------------------------------------------------------------------------

    def client(self, name: str | None = None) -> Client:
        """Return the client of a variable, or the one of the settings of this moment.

        Raises:
            UsageError: The variable holds no client.
        """
        if name is not None:
            found = self.shell.user_ns.get(name)
            if not isinstance(found, Client):
                held = "is not defined" if name not in self.shell.user_ns else f"is a {type(found).__name__}"
                raise UsageError(f"--client wants a variable that holds a client; {name} {held}")
            return found
        if self._client is None or self._client.settings != settings.resolve():
            former, self._client = self._client, mlfoundry.get_client()
            if former is not None:
                former.close()  # runs and panels that it gave out take hold again when they need it
        return self._client

    # -- what IPython tells ----------------------------------------------------------------------

    def cell_begins(self, execution: Execution) -> None:
        """Record a cell for the run that is open."""
        source = execution.info.raw_cell
        is_own = execution.depth == 0 and getattr(execution.info, "store_history", True)
        if self.open is not None and is_own and is_worth_recording(source) and not first_line.is_run(source):
            self._record(self.open, source, self.open.request.learning)

    def cell_ended(self, ended: Sequence[Execution], result: Any) -> None:
        """End what belongs to cells that IPython has executed, the outermost last."""
        error = _error_of(result)
        for execution in ended:
            if execution.own is not None:
                self._end_own(execution, error if execution is ended[-1] else KeyboardInterrupt(_LOST))
        if ended and ended[-1].depth == 0 and self.open is not None and self.open.recording is not None:
            self._end_recorded_cell(self.open, error)

    # -- runs of one cell ------------------------------------------------------------------------

    def begin_own(self, request: Request, client: Client) -> CellRun:
        """Begin the run of the cell that is executed now.

        Raises:
            UsageError: No cell is executed, or the run cannot be made.
        """
        execution = self.executions.innermost
        if execution is None:
            raise UsageError("%%mlfoundry_run works in cells that IPython executes; elsewhere use client.create_run")
        if _is_repeated():
            raise UsageError(
                "%%timeit executes its body many times, each time as a run; put %%mlfoundry_run above %%timeit"
            )
        said = []
        if execution.own is not None:
            said.append(f"{execution.own.run.run_name} ends here: this cell begins another run")
            self._end_own(execution, None)
        if self.open is not None:
            said.append(self._how_open_goes_on(self.open))
        begun = self._begin(request, client, execution, said)
        execution.own = begun
        self._record(begun, execution.info.raw_cell, request.learning, request.metrics)
        self._say(request, said)
        return begun

    @staticmethod
    def _how_open_goes_on(begun: CellRun) -> str:
        goes_on = f"{begun.run.run_name}, which %mlfoundry_run began, goes on"
        if begun.recording is not None:  # the run of its own began in the midst of the cell
            return f"{goes_on} and records this cell too"
        return f"{goes_on} without this cell, which is a run of its own"

    def _end_own(self, execution: Execution, error: BaseException | None) -> None:
        """End the run of one cell with its execution, and say what was learned."""
        ending = execution.own
        execution.own = None
        if ending is None:
            return
        learned, changes = Learned(), None
        try:
            learned = self._end_recording(ending, error)
            changes = self._changes(ending)
        finally:  # whoever presses the stop button twice interrupts this, and the run must not stay open
            self._finish(ending, status_of(error), error)
        self.tell_end(ending, notices.learned(learned, changes), changes.source if changes is not None else "")
        is_nested = any(each.own is not None for each in self.executions.stack) or self.open is not None
        if is_nested and isinstance(ending.covered, Run) and ending.covered.status is RunStatus.RUNNING:
            self.shell.user_ns[ending.request.bind] = ending.covered

    def tell_end(
        self, ended: CellRun, lines: Sequence[str] = (), details: str = "", *, is_elsewhere: bool = False
    ) -> None:
        """Say how a run ended and what was learned, in the output of the running cell.

        Args:
            ended: The run.
            lines: What was learned.
            details: More of it.
            is_elsewhere: Whether its panel stands in another cell, if it has one.
        """
        if ended.request.quiet:
            return
        record = ended.run.record
        has_panel = ended.has_panel and not is_elsewhere
        if not has_panel:
            cells = f", {ended.count} {'cell' if ended.count == 1 else 'cells'}" if ended.count != 1 else ""
            error = f": {displays.shortened(record.error, 80)}" if record.error else ""
            lines = [f"{ended.run.fqn}  {displays.span(displays.duration_s(record))}{cells}{error}", *lines]
        if lines:
            Notice(tuple(lines), details, None if has_panel else record.status).show()

    # -- a run over several cells ----------------------------------------------------------------

    def begin_open(self, request: Request, client: Client) -> CellRun:
        """Begin a run that goes on until `end_open`; one that is open already is ended first."""
        said = []
        if self.open is not None:
            status = self.open.status
            said.append(f"{self.open.run.run_name} was still open and has been ended ({status.value})")
            self.end_open(None)
        execution = self.executions.innermost
        begun = self._begin(request, client, execution, said)
        self.open = begun
        if execution is not None and execution.depth == 0 and is_worth_recording(execution.info.raw_cell):
            self._record(begun, execution.info.raw_cell, request.learning)
        said.append(f"{begun.run.fqn} is open: every cell is recorded until %mlfoundry_run --end")
        self._say(request, said)
        return begun

    def end_open(self, status: str | None) -> CellRun:
        """End the run over several cells: as asked for, else as its last cell ended.

        Raises:
            UsageError: None is open.
        """
        ending = self.open
        if ending is None:
            raise UsageError("no run is open; %mlfoundry_run PROJECT begins one")
        self.open = None
        try:
            if ending.recording is not None:
                self._end_recorded_cell(ending, None)
        finally:
            if status is not None:
                self._finish(ending, RunStatus(status), None)
            else:
                self._finish(ending, ending.status, ending.error)
        return ending

    def end_all(self) -> list[Run]:
        """End what is open, as when the extension is unloaded; return what was."""
        ended = []
        for execution in self.executions.stack:
            if execution.own is not None:
                ended.append(execution.own.run)
                self._end_own(execution, None)
        if self.open is not None:
            ended.append(self.end_open(None).run)
        return ended

    # -- both ------------------------------------------------------------------------------------

    def _begin(self, request: Request, client: Client, execution: Execution | None, said: list[str]) -> CellRun:
        """Make the run that was asked for and bind its variable."""
        info = execution.info if execution is not None else None
        source = info.raw_cell if info is not None else ""
        key = rerun.cell_key(getattr(info, "cell_id", None), request, source)
        last = self._by_cell.get(key)
        if last is not None and not self._goes_on(last) and (closed := rerun.close_former(last)):
            said.append(closed)
        learns_changes = request.learning.changes
        if learns_changes is None:
            learns_changes = client.settings.cell_changes
        former: StoredRun | None = None
        if learns_changes or request.rerun != "new":
            former = self._former(last, request, client, key)
        for param, value in values.flatten(request.params).items():  # what is wrong with them leaves no run behind
            values.param_text(param, value)
        name, tags = rerun.next_name(request, former)
        if request.rerun == "replace" and former is not None:
            name = name or former.run_name
        with self._none_left_open():
            run = client.create_run(
                request.project,
                name,
                {**tags, **request.tags, rerun.CELL_TAG: key},
                request.owner,
                request.system_metrics,
                description=request.description,
            )
            compared = rerun.remembered(former) if former is not None and learns_changes else None
            begun = CellRun(run, request, key, former=compared)
            self._by_cell[key] = self.last = run
            if request.params:
                run.log_params(request.params)
            self._bind(begun, said)
            if request.rerun == "replace" and former is not None:
                said.append(rerun.replace_former(run, request, former))
        return begun

    def _goes_on(self, run: Run) -> bool:
        """Return whether a run has its owner still: the open one, or that of a cell around this one."""
        own = [execution.own for execution in self.executions.stack]
        return any(each is not None and each.run is run for each in (*own, self.open))

    def _former(self, last: Run | None, request: Request, client: Client, key: str) -> StoredRun | None:
        if last is not None:
            with contextlib.suppress(mlfoundry.MlfoundryError):
                found = client.get_run(last.run_id)
                if found.record.deleted_at is None:
                    return found
        return rerun.find_former(client, request, key)

    @contextlib.contextmanager
    def _none_left_open(self) -> Iterator[None]:
        """End what was made when making it is interrupted: nobody would know of it."""
        before = {id(run) for run in mlfoundry.open_runs()}
        try:
            yield
        except BaseException as error:  # that is what an interrupt is
            for run in mlfoundry.open_runs():
                if id(run) not in before:
                    run.__exit__(type(error), error, error.__traceback__)
            raise

    def _bind(self, begun: CellRun, said: list[str]) -> None:
        name = begun.request.bind
        namespace = self.shell.user_ns
        held = begun.covered = namespace.get(name)
        if name in namespace and not isinstance(held, StoredRun):
            said.append(f"{name} was a {type(held).__name__} and is the run now; --as NAME gives the run another name")
        namespace[name] = begun.run

    def _record(self, begun: CellRun, source: str, learning: Learning, metrics: tuple[str, ...] = ()) -> None:
        begun.count += 1
        begun.recording = Recording(
            begun.run,
            begun.count,
            source,
            learning=learning,
            namespace=self.shell.user_ns,
            metrics=metrics,
        )
        begun.recording.begin()

    def _end_recording(self, begun: CellRun, error: BaseException | None) -> Learned:
        begun.status, begun.error = status_of(error), error
        return begun.recording.end(begun.status) if begun.recording is not None else Learned()

    def _end_recorded_cell(self, begun: CellRun, error: BaseException | None) -> None:
        """End one of several cells; a line for each would be in the way, but what went wrong is said."""
        told = self._end_recording(begun, error)
        begun.recording = None
        lines = notices.learned(Learned(kept=told.kept, unlogged=told.unlogged), None, of=begun.run.run_name)
        if lines and not begun.request.quiet:
            Notice(tuple(lines)).show()

    def _changes(self, begun: CellRun) -> Changes | None:
        """Compare with the cell's last run, as far as the store can tell within a moment."""
        former = begun.former
        if former is None or begun.recording is None:
            return None
        with contextlib.suppress(mlfoundry.MlfoundryError):
            if not begun.run.flush(2.0):
                return None
            now = begun.run.client.get_run(begun.run.run_id).record.params
            changes = compare(former, source=begun.recording.masked_source, params=now, packages=_packages(former))
            begun.run.log_facts(changes.facts())
            return changes
        return None

    def _finish(self, ending: CellRun, status: RunStatus, error: BaseException | None) -> None:
        """End a run as a ``with`` block does, with the exception and its traceback without IPython's own frames."""
        if error is None or status_of(error) is not status:
            ending.run.end(status)
            return
        whole = error.__traceback__
        try:
            error.__traceback__ = whole.tb_next if whole is not None and whole.tb_next is not None else whole
            ending.run.__exit__(type(error), error, error.__traceback__)
        finally:
            error.__traceback__ = whole

    def _say(self, request: Request, said: list[str]) -> None:
        if said and not request.quiet:
            Notice(tuple(said)).show()


def _error_of(result: Any) -> BaseException | None:
    if result is None:  # an awaited cell was cancelled
        return KeyboardInterrupt("the cell was interrupted")
    error = result.error_before_exec if result.error_before_exec is not None else result.error_in_exec
    return error if error is None or isinstance(error, BaseException) else None


def _is_repeated() -> bool:
    """Return whether ``%timeit`` executes what calls this: IPython gives the code of its loop this name."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_filename == "<magic-timeit>":
            return True
        frame = frame.f_back
    return False


def _packages(former: Former) -> str:
    """Return the packages of now as a run's facts name them; empty when there is nothing to compare them with."""
    if not former.packages:
        return ""
    from mlfoundry.surroundings.packages import packages

    return packages()
