"""The magics: each parses its line, calls, and returns something to look at."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from IPython.core.error import UsageError
from IPython.core.magic import Magics, cell_magic, line_magic, magics_class, no_var_expand

from mlfoundry.errors import MissingExtra, MlfoundryError

from . import first_line
from .arguments import CLIENT, RUN, argument, parse, request, takes

if TYPE_CHECKING:
    from mlfoundry import StoredRun

    from .cells import CellRun, Cells

_Magic = TypeVar("_Magic", bound=Callable[..., Any])
PROJECT = argument(
    "project", nargs="?", metavar="PROJECT", help="Project, or owner/project; that of the last run here."
)


def _told(magic: _Magic) -> _Magic:
    """Turn our errors into IPython's own UsageError: one line instead of a traceback."""

    @functools.wraps(magic)
    def called(*args: Any, **kwargs: Any) -> Any:
        try:
            return magic(*args, **kwargs)
        except MlfoundryError as error:
            raise UsageError(str(error)) from error

    return called  # type: ignore[return-value]


@magics_class
class MlfoundryMagics(Magics):
    """The magics of one shell.

    Args:
        shell: IPython's shell.
        cells: Gives what is known of its cells and runs; making that takes a while.
    """

    shell: Any

    def __init__(self, shell: Any, cells: Callable[[], Cells]) -> None:
        super().__init__(shell)
        self._cells = cells

    @property
    def cells(self) -> Cells:
        """What is known of the shell's cells and runs."""
        return self._cells()

    @no_var_expand
    @line_magic(first_line.MAGIC)  # type: ignore[arg-type]
    @_told
    @takes(first_line.MAGIC, *RUN)
    def run(self, line: str) -> None:
        """Begin a run that records every cell until --end, or with --cell the run of this cell alone.

        As %%mlfoundry_run PROJECT in a cell's first line the run begins before the cell and ends with it: FINISHED,
        FAILED with its exception, or KILLED when it is interrupted. The run is bound to the variable `run`.
        In arguments, $name and {expression} stand for what they mean in the notebook.
        """
        args = self._parsed(MlfoundryMagics.run, line)
        if args is None:
            return
        if args.end:
            self._end(args)
            return
        if args.status:
            raise UsageError("--status belongs to --end: %mlfoundry_run --end --status FAILED")
        client = self.cells.client(args.client)
        begin = self.cells.begin_own if args.cell else self.cells.begin_open
        self._show(begin(request(args), client))

    def _end(self, args: Any) -> None:
        if args.project or args.cell:
            raise UsageError("--end takes no project: %mlfoundry_run --end ends the run that is open")
        ended = self.cells.end_open(args.status)
        self.cells.tell_end(ended, is_elsewhere=True)

    def _show(self, begun: CellRun) -> None:
        wanted = begun.request.panel
        if wanted is None:  # in a terminal a panel is but a text that grows old
            wanted = begun.run.client.settings.panel and getattr(self.shell, "kernel", None) is not None
        if not wanted:
            return
        try:
            from .panels import RunPanel
        except ImportError as error:
            from .notices import Notice

            Notice((f"no panel: {error}; pip install the extra 'jupyter', or give --no-panel",)).show()
            return
        RunPanel(begun.run).show()
        begun.has_panel = True

    @no_var_expand
    @cell_magic(first_line.MAGIC)  # type: ignore[arg-type]
    @takes(first_line.MAGIC, *RUN)
    def run_cell(self, line: str, cell: str) -> None:
        """Make the cell a run: it begins before the cell and ends with it.

        FINISHED, FAILED with its exception, or KILLED when it is interrupted. The run is bound to the variable `run`.
        In arguments, $name and {expression} stand for what they mean in the notebook.
        """
        # Only who calls run_cell_magic comes here; a cell that is typed is rewritten, see first_line.
        result = self.shell.run_cell(f"%%{first_line.MAGIC} {line}\n{cell}")
        result.raise_error()

    @no_var_expand
    @line_magic
    @_told
    @takes("mlfoundry_runs", PROJECT, CLIENT)
    def mlfoundry_runs(self, line: str) -> Any:
        """Browse the runs of a project: sort, filter, select, compare."""
        args = self._parsed(MlfoundryMagics.mlfoundry_runs, line)
        return args and self._panel("RunsPanel", self._project(args.project), args.client)

    @no_var_expand
    @line_magic
    @_told
    @takes(
        "mlfoundry_attach",
        argument("run", metavar="RUN", nargs="?", help="Id, owner/project/run or project/run; the last run here."),
        CLIENT,
    )
    def mlfoundry_attach(self, line: str) -> Any:
        """Show the live panel of any run, also of one that another program logs to."""
        args = self._parsed(MlfoundryMagics.mlfoundry_attach, line)
        if args is None:
            return None
        last = self.cells.last
        is_last = last is not None and (not args.run or args.run in (last.run_id, last.fqn))
        # This process knows more of its own run than the store: what of it is still on its way.
        return self._panel("RunPanel", last if is_last else self._run(args.run, args.client), args.client)

    @no_var_expand
    @line_magic
    @_told
    @takes("mlfoundry_collaborators", PROJECT, CLIENT)
    def mlfoundry_collaborators(self, line: str) -> Any:
        """Show who is in a project and with which permission; an ADMIN adds, changes and removes."""
        args = self._parsed(MlfoundryMagics.mlfoundry_collaborators, line)
        return args and self._panel("CollaboratorsPanel", self._project(args.project), args.client)

    @no_var_expand
    @line_magic
    @_told
    @takes("mlfoundry_projects", CLIENT)
    def mlfoundry_projects(self, line: str) -> Any:
        """Show your projects, each with its runs and collaborators."""
        args = self._parsed(MlfoundryMagics.mlfoundry_projects, line)
        return args and self._panel("ProjectsPanel", args.client)

    @no_var_expand
    @line_magic
    @_told
    @takes(
        "mlfoundry_status",
        argument("run", metavar="RUN", nargs="?", help="Id, owner/project/run or project/run."),
        CLIENT,
    )
    def mlfoundry_status(self, line: str) -> Any:
        """Show where runs are kept, which are open here and how their tracker is doing, or one run as it stands now."""
        args = self._parsed(MlfoundryMagics.mlfoundry_status, line)
        if args is None:
            return None
        if args.run:
            return self._run(args.run, args.client)
        from .status import Status

        return Status.of(self.cells.client(args.client), self.cells.last)

    @no_var_expand
    @line_magic
    @_told
    @takes("mlfoundry_login", argument("host", metavar="HOST", nargs="?", help="Address; that of the settings."))
    def mlfoundry_login(self, line: str) -> None:
        """Log in to a server: asks for the API key in a field that hides it, and keeps it for this account.

        The key is asked for because what stands in a cell is saved with the notebook and in the history.
        """
        from . import login

        login.refuse_key(line)
        args = self._parsed(MlfoundryMagics.mlfoundry_login, line)
        if args is not None:
            login.log_in(args.host)

    @no_var_expand
    @line_magic
    @_told
    @takes(
        "mlfoundry_dashboard",
        argument("run", metavar="RUN", nargs="?", help="Id, owner/project/run or project/run; the last run here."),
        CLIENT,
    )
    def mlfoundry_dashboard(self, line: str) -> Any:
        """Lead to a run's page in the dashboard; where none is given and none was begun here, to all projects."""
        args = self._parsed(MlfoundryMagics.mlfoundry_dashboard, line)
        if args is None:
            return None
        from .dashboard import DashboardLink

        run = self._run(args.run, args.client) if args.run else self.cells.last
        if run is not None:
            return DashboardLink(run.dashboard_link, run.fqn, run.client.backend.uri)
        backend = self.cells.client(args.client).backend
        return DashboardLink(backend.dashboard_address, "your projects", backend.uri)

    # -- what they share -------------------------------------------------------------------------

    @property
    def _namespace(self) -> dict[str, Any]:
        namespace: dict[str, Any] = self.shell.user_ns
        return namespace

    def _parsed(self, magic: Any, line: str) -> Any:
        args = parse(magic, line, self._namespace)
        if args.help:
            print(magic.parser.format_help())  # noqa: T201
            return None
        return args

    def _project(self, name: str | None) -> str:
        if name:
            return name
        if self.cells.last is None:
            raise UsageError("no project is given and no run was begun here; give a project")
        return f"{self.cells.last.owner}/{self.cells.last.project_name}"

    def _run(self, name: str | None, client: str | None) -> StoredRun:
        if not name:
            raise UsageError("no run is given and none was begun here; give its id or owner/project/run")
        return self.cells.client(client).get_run(name)

    def _panel(self, kind: str, *subject: Any) -> Any:
        *given, client = subject
        try:
            from . import panels
        except ImportError as error:
            raise MissingExtra(error.name or "anywidget", "a panel", "jupyter") from error
        return getattr(panels, kind)(*given, client=self.cells.client(client))
