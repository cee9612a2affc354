"""How far a long transfer is, said where a person waits: in a terminal and in a notebook, and nowhere else.

Nothing is shown in the first second, in scripts whose output goes to a file, or by threads that nobody waits for.
What cannot be shown is left out: no transfer fails for its picture.
"""

from __future__ import annotations

import io
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO, cast

from .. import displays

QUIET_S = 1.0
EVERY_S = 0.25


class Meter:
    """How far one transfer is.

    Args:
        what: What is done, like ``Fetching model.bin``.
        size_bytes: How much there is to do.
        show: Shows a line in place of the one before; None when nobody waits.
        now_s: The clock.
    """

    def __init__(
        self,
        what: str,
        size_bytes: int,
        show: Callable[[str], None] | None,
        *,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._what, self._size, self._show, self._now_s = what, size_bytes, show, now_s
        self._done = 0
        self._began = now_s()
        self._next = self._began + QUIET_S
        self._has_shown = False

    def add(self, count: int) -> None:
        """So many bytes more are done."""
        self.at(self._done + count)

    def at(self, position: int) -> None:
        """So many bytes are done by now."""
        now = self._now_s()
        if position < self._done:  # the file is read again from its beginning
            self._began = now
        self._done = position
        if self._show is not None and now >= self._next:
            self._next = now + EVERY_S
            self._has_shown = True
            self._say(self._line(now))

    def end(self, *, is_done: bool) -> None:
        """Say the last word, when any was said."""
        if self._has_shown:
            took_s = self._now_s() - self._began
            size = displays.size(self._size if is_done else self._done)
            told = f"{size} in {displays.span(took_s)}" if is_done else f"broken off after {size}"
            self._say(f"{self._what}: {told}")

    def _line(self, now: float) -> str:
        share = min(1.0, self._done / self._size) if self._size else 1.0
        rate = self._done / max(1e-6, now - self._began)
        done, whole = displays.size(self._done), displays.size(self._size)
        return f"{self._what}: {done} of {whole} ({share:.0%}, {displays.size(rate)}/s)"

    def _say(self, line: str) -> None:
        assert self._show is not None
        with suppress(OSError, ValueError):  # the terminal is gone, the stream closed
            self._show(line)


@contextmanager
def shown(what: str, size_bytes: int) -> Iterator[Meter]:
    """Give a meter for one transfer, which shows itself where a person waits."""
    show, close = _place()
    meter = Meter(what, size_bytes, show)
    is_done = False
    try:
        yield meter
        is_done = True
    finally:
        meter.end(is_done=is_done)
        if meter._has_shown:
            close()


class Watched(io.RawIOBase):
    """A file that tells a meter how far it is read. Who reads it again from its beginning begins the meter anew.

    Args:
        file: A file that can be read and sought.
        meter: Told.
    """

    def __init__(self, file: BinaryIO, meter: Meter) -> None:
        self._file = file
        self._meter = meter

    def readable(self) -> bool:
        """It can be read."""
        return True

    def seekable(self) -> bool:
        """As the file itself."""
        return self._file.seekable()

    def read(self, size: int = -1) -> bytes:
        """Return up to so many bytes."""
        block = self._file.read(size)
        self._meter.at(self._file.tell() if self._file.seekable() else self._meter._done + len(block))
        return block

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go elsewhere in the file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return where in the file it is."""
        return self._file.tell()


def watched(file: BinaryIO, meter: Meter) -> BinaryIO:
    """Return a file that tells a meter how far it is read."""
    return cast(BinaryIO, Watched(file, meter))


def _place() -> tuple[Callable[[str], None] | None, Callable[[], None]]:
    """Return what shows a line in place of the one before, None when nobody waits, and what ends that."""
    if threading.current_thread() is not threading.main_thread():
        return None, _nothing
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if getattr(shell, "kernel", None) is not None:
        return _in_notebook(sys.modules["IPython.display"]), _nothing
    stream = sys.stderr
    if stream is not None and stream.isatty():
        return _on_terminal(stream), lambda: _end_line(stream)
    return None, _nothing


def _in_notebook(display: Any) -> Callable[[str], None]:
    held: list[Any] = []

    def show(line: str) -> None:
        bundle = {"text/plain": line}
        if held:
            held[0].update(bundle, raw=True)
        else:
            held.append(display.display(bundle, raw=True, display_id=True))

    return show


def _on_terminal(stream: Any) -> Callable[[str], None]:
    def show(line: str) -> None:
        line = "".join(letter if letter.isprintable() else "?" for letter in line)
        stream.write(f"\r\x1b[2K{line}")
        stream.flush()

    return show


def _end_line(stream: Any) -> None:
    with suppress(OSError, ValueError):
        stream.write("\n")
        stream.flush()


def _nothing() -> None:
    pass
