"""How this process is ending, as far as Python lets one know: what becomes of runs that are still open.

Python does not tell exit handlers how the program ended. Whether it came to its last line can be read from
its outermost frame; an exception that left it is in ``sys.last_value``; the code of a SystemExit that left it
is noted on the way out, while a run is open: from Python 3.12 on by ``sys.monitoring``, before by the reading
of its ``code`` (see `_note_read`). A process that dies without exit handlers (SIGKILL, SIGTERM, ``os._exit``)
is the business of `recovery`.
"""

from __future__ import annotations

import atexit
import dis
import functools
import gc
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from ..records import RunStatus

UNKNOWN_CODE = "SystemExit, with a code that Python 3.11 does not tell"

_on_exit: list[Callable[[RunStatus, str], None]] = []
_is_over = False


class _Watch:
    """What is known of the program that has open runs.

    Attributes:
        outermost: The frame in which the main thread began, when a program is known to run in it.
        program: The frame of the main program; None in a program that embeds Python, and in exit handlers.
        before: The exception that had ended something, like a line at a prompt, before the first run was made.
        seen: The code of the last SystemExit that was seen in the main thread, caught or not; else empty.
        left: Whether it has left the program.
    """

    def __init__(self) -> None:
        self.outermost, self.program = _program_frames()
        self.before: BaseException | None = getattr(sys, "last_value", None)
        self.seen: list[Any] = []
        self.left = False

    def note(self, code: Any, *, left: bool) -> None:
        """Note the code of a SystemExit that is on its way."""
        if threading.get_ident() == threading.main_thread().ident:
            self.seen, self.left = [code], left


_watch: _Watch | None = None


def watch(on_exit: Callable[[RunStatus, str], None]) -> None:
    """Begin to note how the process ends; call `on_exit` with the status and the error at its end."""
    global _watch
    if not _on_exit:
        if threading.main_thread().is_alive():
            atexit.unregister(_ended)  # what is registered last is called first, and before the shipper's end
        atexit.register(_ended)
        _watch = _Watch()
        if not _watch_unwinding():
            _watch_reading()
    if on_exit not in _on_exit:
        _on_exit.append(on_exit)


def unwatch(on_exit: Callable[[RunStatus, str], None]) -> None:
    """Put everything back as it was, when nobody else watches."""
    global _watch
    if on_exit in _on_exit:
        _on_exit.remove(on_exit)
    if not _on_exit:
        _unwatch_unwinding()
        _unwatch_reading()
        _watch = None


def is_over() -> bool:
    """Return whether this is a thread that Python lets go on for a moment after the program has ended."""
    return _is_over and threading.current_thread() is not threading.main_thread()


def _ended() -> None:
    global _is_over
    _is_over = True
    if not _on_exit:
        return
    try:
        inside: FrameType | None = sys._getframe(1)
    except ValueError:  # this is called from nowhere in Python, as it should be
        inside = None
    status, error = verdict(inside=inside is not None)
    for on_exit in tuple(_on_exit):
        on_exit(status, error)


def _ended_at_last() -> None:
    """End what other exit handlers began: this one was registered before all that know of `watch`."""
    _ended()


atexit.register(_ended_at_last)


def verdict(*, inside: bool = False) -> tuple[RunStatus, str]:
    """Return the status and the error of runs that are open when the process ends.

    Args:
        inside: Whether the program is still in the middle of something: compiled code, such as the event loop of a
            GUI, ended the process upon a SystemExit.
    """
    if "ipykernel" in sys.modules and _in_kernel():
        return RunStatus.KILLED, "the kernel was shut down before the run ended"
    if _is_interactive() or _watch is None:
        return RunStatus.FINISHED, ""  # an exception there ended a line or a cell, and not the program
    if _watch.program is not None and _has_returned(_watch.outermost):
        return RunStatus.FINISHED, ""
    if _watch.seen and (_watch.left or inside):
        return _of_code(_watch.seen[0])
    last = getattr(sys, "last_value", None)
    if last is not None and last is not _watch.before:
        return status_of(last), described(last)
    if _watch.program is None:
        return RunStatus.FINISHED, ""
    return _of_unseen_exit(_watch.program)


def _of_code(code: Any) -> tuple[RunStatus, str]:
    if is_success(code):
        return RunStatus.FINISHED, ""
    return RunStatus.FAILED, described(SystemExit(code))


def is_success(code: Any) -> bool:
    """Return whether Python makes the exit code 0 of the code of a SystemExit."""
    return code is None or (isinstance(code, int) and code == 0)


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
    """Return how a run ended that this exception left: an interrupt kills, anything else fails.

    A SystemExit that means success is none, and neither is a GeneratorExit: whoever asked a generator for
    values has enough of them.
    """
    if isinstance(error, GeneratorExit) or (isinstance(error, SystemExit) and is_success(error.code)):
        return RunStatus.FINISHED
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


# -- the frames of the program -------------------------------------------------------------------


def _program_frames() -> tuple[FrameType | None, FrameType | None]:
    """Return the frame in which the main thread began and the frame of the main program; None where there is none.

    They differ when the program is run by a part of Python, as by ``python -m``.
    """
    main_module = getattr(sys.modules.get("__main__"), "__dict__", None)
    frame = _frame_of_main_thread()
    outermost = program = None
    while frame is not None:
        if frame.f_globals is main_module and frame.f_code.co_name == "<module>":
            program = frame
        outermost, frame = frame, frame.f_back
    return (outermost, program) if program is not None else (None, None)


def _frame_of_main_thread() -> FrameType | None:
    """Return where the main thread is, without ever waiting for another thread.

    Threads cannot begin or end during a look at the frames of all. Before Python 3.11.9, garbage that is collected in
    that moment stops the process for ever: https://github.com/python/cpython/issues/106883
    """
    main_thread = threading.main_thread().ident
    if threading.get_ident() == main_thread:
        return sys._getframe()
    collects = gc.isenabled()
    gc.disable()
    try:
        return sys._current_frames().get(main_thread or 0)
    finally:
        if collects:
            gc.enable()


def _has_returned(frame: FrameType | None) -> bool:
    """Return whether a frame that is not executed any more was left by return; an exception leaves it elsewhere."""
    at = _instruction(frame) if frame is not None else None
    return at is not None and at.opname.removeprefix("INSTRUMENTED_").startswith("RETURN")


def _instruction(frame: FrameType) -> dis.Instruction | None:
    """Return the instruction at which a frame stands or was left."""
    return next((each for each in dis.get_instructions(frame.f_code) if each.offset == frame.f_lasti), None)


# -- Python 3.12 and later: exceptions that leave a frame are reported ----------------------------

_TOOL_NAME = "mlfoundry"
_tool: list[int] = []


def _watch_unwinding() -> bool:
    """Be told of each exception that leaves a function, which costs nothing else; return whether Python can."""
    monitoring = getattr(sys, "monitoring", None)
    if monitoring is None:
        return False
    for tool in (4, 3):  # the others have names: debugger, coverage, profiler, optimizer
        if monitoring.get_tool(tool) is None:
            monitoring.use_tool_id(tool, _TOOL_NAME)
            monitoring.register_callback(tool, monitoring.events.PY_UNWIND, _note_unwound)
            monitoring.set_events(tool, monitoring.events.PY_UNWIND)
            _tool.append(tool)
            return True
    return False


def _unwatch_unwinding() -> None:
    while _tool:
        tool, monitoring = _tool.pop(), getattr(sys, "monitoring", None)
        if monitoring is not None and monitoring.get_tool(tool) == _TOOL_NAME:
            monitoring.set_events(tool, 0)
            monitoring.register_callback(tool, monitoring.events.PY_UNWIND, None)
            monitoring.free_tool_id(tool)


def _note_unwound(code: object, offset: int, error: BaseException) -> None:  # noqa: ARG001
    if isinstance(error, SystemExit) and _watch is not None:
        _watch.note(error.code, left=sys._getframe(1) is _watch.outermost)


# -- Python 3.11: the interpreter reads `code` of a SystemExit that left the program ---------------

_code: Any = SystemExit.__dict__["code"]
_exits: list[tuple[Any, ExitStandIn]] = []


class _CodeRead:
    """Stands for the attribute ``SystemExit.code`` while a run is open; behaves like it, and notes who reads."""

    def __get__(self, error: SystemExit | None, owner: type | None = None) -> Any:
        if error is None:
            return _code
        code = _code.__get__(error, owner)
        _note_read(code)
        return code

    def __set__(self, error: SystemExit, code: Any) -> None:
        _code.__set__(error, code)

    def __delete__(self, error: SystemExit) -> None:
        _code.__delete__(error)


def _note_read(code: Any) -> None:
    """Note the code of a SystemExit that is read, once and for all when nothing in Python reads it.

    Python 3.11 reports exceptions to tracers and profilers alone, which slow down every call of the program. But
    on its way out, when no frame is left, the interpreter reads the ``code`` of the exception to find its exit
    code, and that is the one moment at which the truth can be had.
    """
    if _watch is not None:
        try:
            sys._getframe(2)
        except ValueError:
            _watch.note(code, left=True)
        else:
            _watch.note(code, left=False)


class ExitStandIn:
    """Stands for ``sys.exit`` while a run is open, in Python 3.11; behaves and looks like it.

    The exception that the original raises is none yet, only its type and its code, until Python code catches it:
    without an exception nobody would read its ``code``.
    """

    def __init__(self, original: Callable[..., Any]) -> None:
        functools.update_wrapper(self, original)
        self._original = original

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Raise SystemExit as the original does, as an exception that is one."""
        try:
            return self._original(*args, **kwargs)
        except SystemExit:
            raise

    def __repr__(self) -> str:
        return repr(self._original)

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._original, attribute)

    def __reduce__(self) -> tuple[Any, ...]:
        import pkgutil

        return pkgutil.resolve_name, ("sys:exit",)  # there it may be another, as after unpickling the original


def _watch_reading() -> None:
    if sys.implementation.name != "cpython":
        return
    _set_code_attribute(_CodeRead())
    if sys.version_info < (3, 12):
        stand_in = ExitStandIn(sys.exit)
        _exits.append((sys.exit, stand_in))
        sys.exit = stand_in


def _unwatch_reading() -> None:
    if SystemExit.__dict__["code"] is not _code:
        _set_code_attribute(_code)
    while _exits:
        original, stand_in = _exits.pop()
        if sys.exit is stand_in:  # else somebody put another in its place, which stays
            sys.exit = original


def _set_code_attribute(attribute: Any) -> None:
    """Replace ``SystemExit.code``, which a built-in type does not let one do by assignment."""
    (attributes,) = gc.get_referents(SystemExit.__dict__)
    attributes["code"] = attribute
    clear = getattr(sys, "_clear_internal_caches", None) or sys._clear_type_cache  # the former from 3.13
    clear()


def _of_unseen_exit(program: FrameType) -> tuple[RunStatus, str]:
    """Return the least wrong verdict on a program that an original ``sys.exit`` ended (Python 3.11).

    It was looked up before the first run was made: ``from sys import exit``, or ``sys.exit(main())`` with the run
    made in ``main``. Where the main program itself calls it, it came to its end: that failed when its code is a
    constant that says so. Where something deeper does, that is mostly an error.
    """
    call = _instruction(program)
    if call is None or call.opname != "CALL" or not _calls_exit(program, call):
        return RunStatus.FAILED, UNKNOWN_CODE
    before = [each for each in dis.get_instructions(program.f_code) if each.offset < call.offset]
    while before and before[-1].opname == "PRECALL" and not before[-1].is_jump_target:
        before.pop()
    is_constant = call.arg == 1 and before[-1].opname == "LOAD_CONST"
    return _of_code(before[-1].argval if is_constant else None)


def _calls_exit(frame: FrameType, call: dis.Instruction) -> bool:
    """Return whether a call is one of ``sys.exit``: what begins where it begins names the function."""
    original = _exits[0][0] if _exits else sys.exit
    for each in dis.get_instructions(frame.f_code):
        if each.offset < call.offset and _start(each) == _start(call) != (None, None):
            if each.opname in ("LOAD_METHOD", "LOAD_ATTR") and each.argval == "exit":
                return True
            if each.opname in ("LOAD_NAME", "LOAD_GLOBAL") and frame.f_globals.get(each.argval) is original:
                return True
    return False


def _start(instruction: dis.Instruction) -> tuple[int | None, int | None]:
    positions = instruction.positions
    return (positions.lineno, positions.col_offset) if positions is not None else (None, None)
