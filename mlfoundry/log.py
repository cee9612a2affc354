"""What MLFoundry says through Python's logging, to whom the program chose.

A handler of the program may raise: its disk is full, its stream closed. That must end neither the threads that ship nor
a log call, so all that is not the server's own process says what it says here.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from typing import Any


class Log:
    """A logger that never raises.

    Args:
        name: The logger's.
    """

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def warning(self, text: str, *values: object, exc_info: Any = None) -> None:
        """Say what a user should know."""
        self._say(logging.WARNING, text, values, exc_info)

    def debug(self, text: str, *values: object, exc_info: Any = None) -> None:
        """Say what helps to find a defect."""
        self._say(logging.DEBUG, text, values, exc_info)

    def _say(self, level: int, text: str, values: tuple[object, ...], exc_info: Any) -> None:
        # A program that ends itself in a handler means its own thread, not one of ours.
        is_ours = threading.current_thread() is not threading.main_thread()
        with contextlib.suppress(BaseException if is_ours else Exception):
            self._logger.log(level, text, *values, exc_info=exc_info, stacklevel=3)
