"""The arguments of the magics: what the line may hold, ``$name`` and ``{expression}`` in it, and what they ask for.

Whatever is wrong becomes IPython's own UsageError, which is shown as one line without a traceback.
"""

from __future__ import annotations

import argparse
import ast
import builtins
import difflib
import inspect
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from IPython.core import magic_arguments
from IPython.core.error import UsageError
from IPython.utils.text import DollarFormatter

RERUN = ("new", "replace", "version")
ENDS = ("FINISHED", "FAILED", "KILLED")
_PLACE = "\ue000{}\ue001"
_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Learning:
    """What is learned from a cell, each None for what the settings say."""

    source: bool | None = None
    params: bool | None = None
    changes: bool | None = None
    cost: bool | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """A run as a magic asks for it."""

    project: str
    name: str | None = None
    owner: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""
    rerun: str = "new"
    metrics: tuple[str, ...] = ()
    bind: str = "run"
    learning: Learning = Learning()
    panel: bool | None = None
    system_metrics: bool | None = None
    quiet: bool = False


argument: Any = magic_arguments.argument  # IPython's decorators have no types
HELP = argument("--help", "-h", action="store_true", help="Show this text.")
CLIENT = argument("--client", metavar="VARIABLE", help="A client to use; mlfoundry.get_client() by default.")
RUN = (
    argument("project", nargs="?", metavar="PROJECT", help="Project, or owner/project; made on its first use."),
    argument("--name", "-n", help="Name of the run; a taken one gets -2, -3, …; two random words by default."),
    argument("--owner", "-o", help="Owner of the project; you by default."),
    argument("--tag", "-t", action="append", default=[], metavar="K=V", help="A tag; may be given several times."),
    argument("--param", "-p", action="append", default=[], metavar="K=V", help="A param; may be given several times."),
    argument("--description", "-d", default="", metavar="TEXT", help="Free text."),
    argument(
        "--metric",
        "-m",
        action="append",
        default=[],
        metavar="NAME",
        help="A variable to log as a metric when the cell ends: a number, or a list of numbers, one a step.",
    ),
    argument(
        "--rerun",
        choices=RERUN,
        default="new",
        help="What executing the same cell again does: a new run under the next free name (new, the default); a new "
        "run that takes the place and the name of the last one, which is deleted and can be restored (replace); or "
        "NAME-v2, NAME-v3, … with the number as the tag 'version' (version).",
    ),
    argument("--as", dest="bind", default="run", metavar="VARIABLE", help="Name of the variable; run by default."),
    CLIENT,
    argument("--panel", action=argparse.BooleanOptionalAction, default=None, help="Show the live panel."),
    argument("--source", action=argparse.BooleanOptionalAction, default=None, help="Keep the source of cells."),
    argument("--params", action=argparse.BooleanOptionalAction, default=None, help="Log assigned literals as params."),
    argument("--changes", action=argparse.BooleanOptionalAction, default=None, help="Record what changed."),
    argument("--cost", action=argparse.BooleanOptionalAction, default=None, help="Record what cells cost."),
    argument("--system-metrics", action=argparse.BooleanOptionalAction, default=None, help="Sample the machine."),
    argument("--quiet", "-q", action="store_true", help="Show nothing, no panel either."),
    argument("--cell", action="store_true", help="A run of this cell alone; it is what %%%%mlfoundry_run does."),
    argument("--end", action="store_true", help="End the run that %%mlfoundry_run PROJECT began."),
    argument("--status", type=str.upper, choices=ENDS, help="How --end ends it; as its last cell ended by default."),
)


def takes(name: str, *arguments: Any) -> Callable[[_Function], _Function]:
    """Return the decorator that gives a magic its name and its arguments, in the order of the help."""
    decorators: list[Any] = [magic_arguments.kwds(formatter_class=_Help), *reversed((*arguments, HELP))]  # type: ignore[no-untyped-call]
    decorators.append(magic_arguments.magic_arguments(name))  # type: ignore[no-untyped-call]

    def decorate(function: _Function) -> _Function:
        for each in decorators:
            function = each(function)
        return function

    return decorate


class _Help(argparse.HelpFormatter):
    """Plain help: what IPython makes of it is for documents in reStructuredText."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:  # noqa: ARG002  argparse's signature
        return "\n".join(f"{indent}{line}" for line in inspect.cleandoc(text).splitlines())

    def add_usage(self, usage: Any, actions: Any, groups: Any, prefix: str | None = None) -> None:
        """Write the name with its percent sign."""
        super().add_usage(usage, actions, groups, "usage: %" if prefix is None else prefix)


def parse(magic: Any, line: str, namespace: Mapping[str, Any]) -> argparse.Namespace:
    """Return the parsed arguments of a magic.

    Args:
        magic: The decorated function.
        line: What stands behind the magic's name.
        namespace: Where ``$name`` and ``{expression}`` are looked up.

    Raises:
        UsageError: What is wrong, in one line.
    """
    words = split(line, namespace)
    try:
        return magic.parser.parse_args(words)  # type: ignore[no-any-return]
    except UsageError as error:
        name = magic.parser.prog
        raise UsageError(f"%{name}: {error}{_hint(magic.parser, words)}; %{name} --help shows all options") from None


def _hint(parser: argparse.ArgumentParser, words: list[str]) -> str:
    options = [option for action in parser._actions for option in action.option_strings if option.startswith("--")]
    for word in words:
        option = word.partition("=")[0]
        if option.startswith("-") and option not in options:
            close = difflib.get_close_matches(option, options, n=1)
            if close:
                return f"; did you mean {close[0]}?"
    return ""


def split(line: str, namespace: Mapping[str, Any]) -> list[str]:
    """Split a line as a shell does, with ``$name`` and ``{expression}`` replaced by what they mean here.

    A replaced text is never split: a name with spaces stays one argument. ``$$`` and ``{{`` stand for ``$`` and ``{``.

    Raises:
        UsageError: An expression cannot be evaluated, or a quote is not closed.
    """
    values: list[str] = []
    try:
        template = "".join(_with_places(line, namespace, values))
        words = shlex.split(template)
    except ValueError as error:
        raise UsageError(f"the arguments {line.strip()!r} cannot be read: {str(error).lower()}") from None
    return [_PLACES.sub(lambda place: values[int(place[1])], word) for word in words]


_CONVERSIONS: dict[str, Callable[[object], str]] = {"r": repr, "s": str, "a": ascii}
_PLACES = re.compile("\ue000(\\d+)\ue001")


def _with_places(line: str, namespace: Mapping[str, Any], values: list[str]) -> list[str]:
    parts = []
    for literal, expression, form, conversion in DollarFormatter().parse(line):
        parts.append(literal)
        if expression is not None:
            parts.append(_PLACE.format(len(values)))
            values.append(_evaluated(expression, form, conversion, namespace))
    return parts


def _evaluated(expression: str, form: str, conversion: str | None, namespace: Mapping[str, Any]) -> str:
    try:
        value = eval(expression, {"__builtins__": builtins, **namespace})  # noqa: S307  the user's own words
        if conversion:
            value = _CONVERSIONS[conversion](value)
        return format(value, form or "")
    except Exception as error:  # noqa: BLE001  whatever the user's expression raises
        raise UsageError(
            f"{{{expression}}} in the arguments cannot be evaluated: {type(error).__name__}: {error}; "
            "write {{ for a brace and $$ for a dollar"
        ) from None


def request(args: argparse.Namespace) -> Request:
    """Return what the arguments ask for.

    Raises:
        UsageError: There is no project, a pair has no ``=``, or a name cannot be a variable.
    """
    if not args.project:
        raise UsageError("no project is given; write %%mlfoundry_run PROJECT, such as %%mlfoundry_run iris-demo")
    for name, what in ((args.bind, "--as"), *((metric, "--metric") for metric in args.metric)):
        if not name.isidentifier():
            raise UsageError(f"{what} wants the name of a variable, not {name!r}")
    return Request(
        project=args.project,
        name=args.name,
        owner=args.owner,
        tags=_pairs(args.tag, "--tag"),
        params={name: _value(text) for name, text in _pairs(args.param, "--param").items()},
        description=args.description,
        rerun=args.rerun,
        metrics=tuple(args.metric),
        bind=args.bind,
        learning=Learning(args.source, args.params, args.changes, args.cost),
        panel=False if args.quiet else args.panel,
        system_metrics=args.system_metrics,
        quiet=args.quiet,
    )


def _pairs(words: list[str], option: str) -> dict[str, str]:
    pairs = {}
    for word in words:
        name, mark, text = word.partition("=")
        if not mark or not name.strip():
            raise UsageError(f"{option} wants NAME=VALUE, not {word!r}")
        pairs[name.strip()] = text
    return pairs


def _value(text: str) -> Any:
    """Return a number, a boolean, None or a list where a text says so, else the text."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text
    return value if isinstance(value, (bool, int, float, list, tuple, dict)) or value is None else text
