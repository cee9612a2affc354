"""What became of the tries to bring something to a backend: when the next is, what went wrong, whether it is refused.

`shipment` tries with it; nothing that goes wrong is raised to whoever tries. What is tried, and when, is its business.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable

from ..errors import (
    BackendUnavailable,
    JournalGap,
    JournalUnreadable,
    MlfoundryError,
    NotAuthenticated,
    NotFound,
    PermissionDenied,
    RunDeleted,
    StoreBusy,
    TooLarge,
    WrongHash,
)

BACK_OFF_S = (0.5, 5.0)  # at most so that a server that comes back is used within seconds
REFUSED_S = 60.0
NOT_TAKEN = (PermissionDenied, NotFound, RunDeleted, NotAuthenticated)  # what is logged, as things are
_REFUSALS = (*NOT_TAKEN, JournalUnreadable, TooLarge)

_random = random.Random()  # one's own: the program's random numbers stay as they would be without us
_log = logging.getLogger("mlfoundry")


def back_off_s(failures: int, asked_s: float | None = None) -> float:
    """Return how long to wait after a failure: longer each time, or as the other side asked, and never all at once.

    Args:
        failures: How many there were before.
        asked_s: What the other side asked for; it is never cut short.
    """
    if asked_s is not None:
        return asked_s + _random.uniform(0.0, min(1.0, asked_s))
    least, most = BACK_OFF_S
    return min(most, least * 2.0 ** min(failures, 20)) * _random.uniform(0.7, 1.3)


class Tries:
    """The tries to bring one thing to one backend.

    Args:
        uri: The backend's.

    Attributes:
        count: How often it was tried.
        trouble: Why it is not there, empty when all is well.
        refused: Whether the backend will not take it as things are.
        refusal: How it said so the last time; None while it takes it.
        gone: Whether that is because the run is deleted or unknown, or the journal is too new.
        unavailable: How the last try found that the backend cannot be used at all now, None when it could be.
        tried_at: When it was tried last, by a clock that never jumps.
        retry_at: Not to be tried before.
    """

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self.count = 0
        self.trouble = ""
        self.refused = False
        self.refusal: MlfoundryError | None = None
        self.gone = False
        self.unavailable: BackendUnavailable | None = None
        self.tried_at = 0.0
        self.retry_at = 0.0
        self._failures = 0
        self._is_told = False

    def make(self, attempt: Callable[[], object]) -> None:
        """Try once; note what went wrong instead of raising it."""
        self.unavailable = None
        try:
            self.tried_at = time.monotonic()
            attempt()
        except JournalGap as gap:
            self._failed(f"the store asks for slot {gap.expected}, not {gap.got}", delay_s=BACK_OFF_S[0])
        except _REFUSALS as error:
            self.refused, self.refusal = True, error
            self.gone = isinstance(error, (RunDeleted, NotFound, JournalUnreadable))
            self._failed(f"the store does not take it: {error}", delay_s=REFUSED_S)
        except BackendUnavailable as error:
            # A lock that another holds is about this run's project, a hash about one file; the backend can be used.
            self.unavailable = None if isinstance(error, (StoreBusy, WrongHash)) else error
            self._failed(str(error), delay_s=back_off_s(self._failures, error.retry_after_s))
        except Exception as error:  # data is kept and tried again, whatever went wrong
            _log.debug("shipping failed", exc_info=True)
            self._failed(f"{type(error).__name__}: {error}", delay_s=back_off_s(self._failures))
        else:
            if self._is_told:
                how = "takes it again" if self.refused else "is reachable again"
                _log.warning("%s %s; shipping goes on.", self._uri, how)
            self.is_over()
        self.count += 1

    def is_over(self) -> None:
        """Note that nothing is wrong any more: it is there, or there is nothing to bring."""
        self.trouble, self.refused, self.refusal, self.gone = "", False, None, False
        self._is_told, self._failures = False, 0

    def put_off(self, trouble: str) -> None:
        """Note that the backend cannot be reached, which something else that goes there found out."""
        self.trouble = self.trouble or trouble
        self.retry_at = 0.0  # it is tried with the others

    def _failed(self, message: str, *, delay_s: float) -> None:
        self._failures += 1
        self.retry_at = time.monotonic() + delay_s
        if not self._is_told:
            self._is_told = True
            _log.warning("Not stored yet, and tried again until it is: %s", message)
        self.trouble = message
