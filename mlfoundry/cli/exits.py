"""How the program ends: exit codes, and what is said of an error. No user ever sees a traceback unasked."""

from __future__ import annotations

import errno
import io
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import click

from .. import errors
from . import output
from .session import Family, Session

FINE, PROBLEM, USAGE, NOT_FOUND, PERMISSION, UNREACHABLE, INTERRUPTED, READER_GONE = 0, 1, 2, 3, 4, 5, 130, 141
TRACEBACK_VARIABLE = "MLFOUNDRY_TRACEBACK"

_CODES: tuple[tuple[type[errors.MlfoundryError], int], ...] = (
    (errors.NotFound, NOT_FOUND),
    (errors.PermissionDenied, PERMISSION),
    (errors.NotAuthenticated, PERMISSION),
    (errors.BackendUnavailable, UNREACHABLE),
)


class Refused(click.ClickException):
    """The command did not do what was asked; the message says why and what to do."""

    exit_code = PROBLEM


class _ReaderGone(Exception):
    """Nobody reads standard output any more, as after ``| head``."""


class _Interrupted(Exception):
    """The user pressed Ctrl-C."""


class Program(Family):
    """The whole program: runs a command and turns whatever it ends with into a message and an exit code."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command line and exit, as `click.Command.main` does."""

        def command(**more: Any) -> Any:
            return super(Program, self).main(args, prog_name, complete_var, False, **extra, **more)

        if not standalone_mode:
            return command()
        session = Session(json="--json" in (sys.argv[1:] if args is None else args))
        output.prepare()
        with session.listening():
            code = _run(session, lambda: command(obj=session))
        sys.exit(code)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what only its end can tell is noted before click makes something else of it."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError as error:
            raise _ReaderGone from error
        except KeyboardInterrupt as error:
            raise _Interrupted from error
        finally:
            with suppress(errors.MlfoundryError):
                ctx.ensure_object(Session).close()
        return result


def _run(session: Session, command: Callable[[], Any]) -> int:
    """Run a command line, print what it ended with, and return the exit code."""
    try:
        code = command()
    except (_ReaderGone, BrokenPipeError):
        _silence()
        return READER_GONE
    except _Interrupted:
        return _told(session, INTERRUPTED, "Interrupted", "interrupted")
    except click.Abort as abort:  # at a question
        if isinstance(abort.__cause__ or abort.__context__, KeyboardInterrupt):
            return _told(session, INTERRUPTED, "Interrupted", "interrupted")
        return _told(session, PROBLEM, "Aborted", "nobody answered, so nothing was done. Give --yes to not be asked.")
    except Exception as error:  # noqa: BLE001  the one place where any error becomes a message
        return report(session, error)
    if session.json and session.warnings:
        output.json_error({"warnings": session.warnings})
    return code if isinstance(code, int) else FINE


def report(session: Session, error: Exception) -> int:
    """Print what an error means for the user; return the exit code."""
    if os.environ.get(TRACEBACK_VARIABLE) and not isinstance(error, click.ClickException):
        click.echo("".join(map(output.lines, traceback.format_exception(error))), err=True)
    kind = type(error).__name__
    if isinstance(error, click.exceptions.NoArgsIsHelpError) and not session.json:
        click.echo(output.lines(error.format_message()), err=True)
        return USAGE
    if isinstance(error, click.UsageError):
        return _told(session, USAGE, "UsageError", error.format_message(), usage=_usage(error))
    if isinstance(error, click.ClickException):
        return _told(session, error.exit_code, kind, error.message)
    if isinstance(error, errors.MlfoundryError):
        code = next((code for family, code in _CODES if isinstance(error, family)), PROBLEM)
        keeps_lines = isinstance(error, errors.InvalidFilter)  # it points at the place with a line of its own
        return _told(session, code, kind, str(error), keeps_lines=keeps_lines)
    if isinstance(error, OSError) and error.errno is not None:
        where = f": {error.filename}" if error.filename is not None else ""
        hint = " Make room there and try again." if error.errno == errno.ENOSPC else ""
        return _told(session, PROBLEM, kind, f"{error.strerror}{where}.{hint}")
    text = f"{kind}: {error}" if str(error) else kind
    hint = f"This is a defect of MLFoundry. Set {TRACEBACK_VARIABLE}=1 to see the traceback, and report it."
    return _told(session, PROBLEM, kind, f"{text}\n{hint}", keeps_lines="\n" not in text)


def _told(session: Session, code: int, kind: str, message: str, *, usage: str = "", keeps_lines: bool = False) -> int:
    if session.json:
        document: dict[str, Any] = {"error": {"code": code, "type": kind, "message": message}}
        if session.warnings:
            document["warnings"] = session.warnings
        output.json_error(document)
        return code
    if usage:
        click.echo(usage, err=True)
    text = output.lines(message) if keeps_lines else output.safe(message)
    output.error(text)
    return code


def _usage(error: click.UsageError) -> str:
    if error.ctx is None:
        return ""
    return f"{output.lines(error.ctx.get_usage())}\nTry '{output.safe(error.ctx.command_path)} --help' for help.\n"


def _silence() -> None:
    """Let the interpreter's last flush go nowhere, so that it says nothing of a broken pipe."""
    with suppress(OSError, ValueError, io.UnsupportedOperation):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
