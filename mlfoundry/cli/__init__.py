"""The command line: ``mlfoundry``.

One file a family of commands; `session` holds what they share, `output` how they print, `documents` the shapes
of their JSON, `exits` how the program ends. Whatever takes long to import is imported by the command that needs it.
"""

from __future__ import annotations

import click

from .. import __version__
from . import (
    artifacts,
    collaborators,
    deletion,
    doctor,
    export,
    keys,
    login,
    projects,
    push,
    runs,
    server,
    sync,
    ui,
    users,
)
from .exits import Program
from .session import store_options

__all__ = ["main"]

_HELP = """Look at, move and mend what MLFoundry tracked.

PROJECT is a name of your own, or owner/project. RUN is an id (32 hex digits), owner/project/run, or project/run.
Options of the store (--uri, --user, --json) may stand before the command or behind it.

Examples:
  mlfoundry projects
  mlfoundry runs iris-demo --filter "metrics.loss < 0.1" --order metrics.loss
  mlfoundry show iris-demo/svm-model
  mlfoundry show iris-demo/svm-model --metric loss
  mlfoundry export iris-demo --to iris
  mlfoundry doctor

Exit codes:
  0    fine
  1    a problem was found, or what was asked was refused
  2    wrong usage of the command line
  3    there is no such project, run, metric, artifact or collaborator
  4    your permission does not allow it, or the server does not take your key
  5    the store or the server cannot be reached
  130  interrupted (Ctrl-C)
  141  whoever read the output went away (as with | head)

With --json standard output holds one JSON document. An error is one on standard error then:
{"error": {"code": 3, "type": "RunNotFound", "message": "…"}}. Times are UTC; NaN and the infinities are the
texts "NaN", "Infinity" and "-Infinity".

Environment:
  MLFOUNDRY_HOME          the usual place of the store
  MLFOUNDRY_TRACKING_URI  as --uri
  MLFOUNDRY_HOST          the server, where --uri names nothing
  MLFOUNDRY_API_KEY       the key for it; else that of `mlfoundry login`
  MLFOUNDRY_USER          as --user; `mlfoundry doctor` lists all settings
  MLFOUNDRY_TRACEBACK=1   print the traceback of an error
  NO_COLOR=1              no colours
"""


@click.group(
    cls=Program,
    name="mlfoundry",
    help=_HELP,
    params=store_options(),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
@click.version_option(__version__, "-V", "--version", prog_name="mlfoundry", help="Print the version and exit.")
def main() -> None:
    """Run the command line; see `_HELP`."""


for _command in (
    projects.projects,
    runs.runs,
    runs.show,
    runs.compare,
    sync.sync,
    export.export,
    push.push,
    deletion.delete,
    deletion.restore,
    collaborators.collaborators,
    artifacts.artifacts,
    doctor.doctor,
    ui.ui,
    login.login,
    login.logout,
    login.whoami,
    users.users,
    keys.keys,
    server.server,
):
    main.add_command(_command)
