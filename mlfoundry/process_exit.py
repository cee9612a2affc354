"""How this process is ending, as far as Python lets one know: what becomes of runs that are still open.

Python does not tell exit handlers how the program ended. An exception that left the program is in
``sys.last_value``; the code of a SystemExit is noted when it is raised (from Python 3.12 on; before, by a
wrapper of ``sys.exit``), while a run is open; and whether the main program came to its last line can be
read from its frame. A process that
dies without exit handlers (SIGKILL, SIGTERM, ``os._exit``) is the business of `recovery`.
"""

from __future__ import annotations

import atexit
import builtins
import dis
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from .records import RunStatus

_on_exit: list[Callable[[RunStatus, str], None]] = []
_wrapped: list[tuple[Any, str, Any, Any]] = []
_main: FrameType | None = None
_noted: list[Any] = []
_before: BaseException | None = None


def watch(on_exit: Callable[[RunStatus, str], None]) -> None:
    """Begin to note how the process ends; call `on_exit` with the status and the error at its end."""
    global _main, _before
    if not _on_exit:
        atexit.register(_ended)
        _main = _main_frame()
        _before = getattr(sys, "last_value", None)
        if not _watch_raised():
            for place, name in ((sys, "exit"), (builtins, "exit"), (builtins, "quit")):
                if hasattr(place, name):
                    _wrap(place, name)
    if on_exit not in _on_exit:
        _on_exit.append(on_exit)


def unwatch(on_exit: Callable[[RunStatus, str], None]) -> None:
    """Put everything back as it was, when nobody else watches."""
    if on_exit in _on_exit:
        _on_exit.remove(on_exit)
    if not _on_exit:
        atexit.unregister(_ended)
        for place, name, original, noting in _wrapped:
            if getattr(place, name, None) is noting:  # else somebody put another in its place, which stays
                setattr(place, name, original)
        _wrapped.clear()
        _noted.clear()
        _unwatch_raised()


_TOOL_NAME = "mlfoundry"
_tool: list[int] = []


def _watch_raised() -> bool:
    """Note each SystemExit as it is raised, where Python can tell (3.12 and later); costs nothing else."""
    monitoring = getattr(sys, "monitoring", None)
    if monitoring is None:
        return False
    for tool in (4, 3):  # the others have names: debugger, coverage, profiler, optimizer
        if monitoring.get_tool(tool) is None:
            monitoring.use_tool_id(tool, _TOOL_NAME)
            monitoring.register_callback(tool, monitoring.events.RAISE, _note_raised)
            monitoring.set_events(tool, monitoring.events.RAISE)
            _tool.append(tool)
            return True
    return False


def _unwatch_raised() -> None:
    while _tool:
        tool, monitoring = _tool.pop(), getattr(sys, "monitoring", None)
        if monitoring is not None and monitoring.get_tool(tool) == _TOOL_NAME:
            monitoring.set_events(tool, 0)
            monitoring.register_callback(tool, monitoring.events.RAISE, None)
            monitoring.free_tool_id(tool)


def _note_raised(code: object, offset: int, error: BaseException) -> None:  # noqa: ARG001
    if isinstance(error, SystemExit):
        _noted[:] = [error.code]


def _wrap(place: Any, name: str) -> None:
    original = getattr(place, name)

    class Noting:
        """Stands for `exit` while a run is open; behaves and looks like it."""

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            _noted[:] = [args[0] if args else kwargs.get("code")]
            return original(*args, **kwargs)

        def __repr__(self) -> str:
            return repr(original)

        def __getattr__(self, attribute: str) -> Any:
            return getattr(original, attribute)

    noting = Noting()
    setattr(place, name, noting)
    _wrapped.append((place, name, original, noting))


def _ended() -> None:
    status, error = verdict()
    for on_exit in _on_exit:
        on_exit(status, error)


def verdict() -> tuple[RunStatus, str]:
    """Return the status and the error of runs that are open when the process ends."""
    if "ipykernel" in sys.modules and _in_kernel():
        return RunStatus.KILLED, "the kernel was shut down before the run ended"
    if _is_interactive():
        return RunStatus.FINISHED, ""  # an exception there ended a line or a cell, and not the program
    last = getattr(sys, "last_value", None)
    if last is not None and last is not _before:
        return status_of(last), described(last)
    if _main is not None and _stopped_at(_main).startswith("RETURN"):
        return RunStatus.FINISHED, ""
    code = _noted[0] if _noted else _raised_code()
    if code in (None, 0, False):
        return RunStatus.FINISHED, ""
    return RunStatus.FAILED, f"SystemExit: {code}"


def described(error: BaseException) -> str:
    """Return type and message of an exception in at most 2,000 characters."""
    try:
        message = str(error)
    except Exception as broken:  # noqa: BLE001  a stranger's __str__ may raise anything at all
        message = f"<no message: {type(broken).__name__}>"
    text = f"{type(error).__name__}: {message}" if message else type(error).__name__
    text = text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= 2000 else text[:1999] + "…"


def traced(error: BaseException) -> str:
    """Return an exception's traceback, its last 16,000 characters."""
    import traceback

    try:
        text = "".join(traceback.format_exception(error))
    except Exception as broken:  # noqa: BLE001  a stranger's __str__ may raise anything at all
        text = f"<no traceback: {type(broken).__name__}>"
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()[-16_000:]


def status_of(error: BaseException) -> RunStatus:
    """Return how a run ended that this exception left: an interrupt kills, anything else fails."""
    interrupted = isinstance(error, KeyboardInterrupt) or type(error).__name__ == "CancelledError"
    return RunStatus.KILLED if interrupted else RunStatus.FAILED


def _is_interactive() -> bool:
    """Return whether somebody types the program line by line: at Python's prompt or IPython's."""
    if hasattr(sys, "ps1") or sys.flags.interactive:
        return True
    ipython = sys.modules.get("IPython")
    return ipython is not None and ipython.get_ipython() is not None


def _in_kernel() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


def _main_frame() -> FrameType | None:
    """Return the frame of the main program, when this is called from within it."""
    program = getattr(sys.modules.get("__main__"), "__dict__", None)
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_globals is program and frame.f_code.co_name == "<module>":
            return frame
        frame = frame.f_back
    return None


def _raised_code() -> Any:
    """Return the code of a SystemExit that could not be noted, as far as it can be told (Python 3.11).

    ``raise SystemExit(3)`` and an imported ``exit(3)`` of the main program itself are read from its code;
    ``raise SystemExit(main())`` there is the usual end of a program that went well; one that comes from
    deeper is an error.
    """
    if _main is None:
        return None
    steps = [i for i in dis.get_instructions(_main.f_code) if i.offset <= _main.f_lasti and i.opname != "PRECALL"]
    raises = steps[-1].opname.startswith("RAISE")
    call = steps[-2] if raises else steps[-1]
    before = steps[: steps.index(call)]
    constant = before[-1].argval if before[-1].opname in ("LOAD_CONST", "LOAD_SMALL_INT") else None
    if raises:
        return constant if call.opname == "CALL" else None
    callee = before[-2 if call.arg else -1].argval
    if call.opname == "CALL" and _main.f_globals.get(callee) is _original_exit():
        return constant if call.arg else None
    return "with a code that is not known"


def _original_exit() -> Any:
    return next((original for place, name, original, _ in _wrapped if (place, name) == (sys, "exit")), sys.exit)


def _stopped_at(frame: FrameType) -> str:
    """Return the name of the instruction at which a frame was left; a call that raised has none."""
    for instruction in dis.get_instructions(frame.f_code):
        if instruction.offset == frame.f_lasti:
            return instruction.opname.removeprefix("INSTRUMENTED_")
    return ""
