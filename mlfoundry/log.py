"""What MLFoundry says through Python's logging, to whom the program chose.

A handler of the program may raise: its disk is full, its stream closed. That must end neither the threads that ship nor
a log call, so all that is not the server's own process says what it says here.
"""

from __future__ import annotations

import contextlib
import threading
from typing import Any


class Log:
    """A logger that never raises. It imports `logging`, which takes milliseconds, when something is said.

    Args:
        name: The logger's.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def warning(self, text: str, *values: object, exc_info: Any = None) -> None:
        """Say what a user should know."""
        self._say("warning", text, values, exc_info)

    def debug(self, text: str, *values: object, exc_info: Any = None) -> None:
        """Say what helps to find a defect."""
        self._say("debug", text, values, exc_info)

    def _say(self, level: str, text: str, values: tuple[object, ...], exc_info: Any) -> None:
        import logging

        # A program that ends itself in a handler means its own thread, not one of ours.
        is_ours = threading.current_thread() is not threading.main_thread()
        with contextlib.suppress(BaseException if is_ours else Exception):
            getattr(logging.getLogger(self._name), level)(text, *values, exc_info=exc_info, stacklevel=3)
