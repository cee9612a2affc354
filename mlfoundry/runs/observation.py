"""What is observed of a run without a word from its user: samples of the machine, and its surroundings."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

from ..errors import RunEnded

if TYPE_CHECKING:
    from ..journal import Journal
    from ..shipping.shipper import Shipper
    from ..system_metrics import Sampler

CAPTURE_S = 1.0


class Observation:
    """The sampler and the capture of one run; each begins in the shipping thread, so that a run is made quickly.

    Args:
        journal: Where samples and facts go.
        shipper: Whose thread begins them.
    """

    def __init__(self, journal: Journal, shipper: Shipper) -> None:
        self._journal = journal
        self._shipper = shipper
        self._lock = threading.RLock()  # a signal handler may end the run at any moment
        self._sampler: Sampler | None = None
        self._is_sampling = self._has_stopped = False
        self._capture: threading.Thread | None = None
        self._capture_begun: threading.Event | None = None

    @property
    def cpu_s(self) -> float:
        """CPU seconds that sampling has used so far."""
        return self._sampler.cpu_s if self._sampler is not None else 0.0

    def start_sampling(self, interval_s: float) -> None:
        """Sample the machine at once and then every `interval_s` seconds until `stop`."""
        from ..system_metrics import Sampler

        self._sampler = Sampler(self._journal.log_system, interval_s=interval_s)
        self._shipper.later(self._begin_sampling)

    def _begin_sampling(self) -> None:
        with self._lock:
            if self._sampler is not None and not self._is_sampling and not self._has_stopped:
                self._is_sampling = True
                with contextlib.suppress(RuntimeError):  # the interpreter is ending and begins no more threads
                    self._sampler.start()

    def start_capture(self) -> None:
        """Record git, Python, packages and hardware as facts."""
        from ..surroundings import capture

        begun = self._capture_begun = threading.Event()

        def begin() -> None:
            with contextlib.suppress(RuntimeError):  # the interpreter is ending and begins no more threads
                self._capture = capture.start(self._note)
            begun.set()

        self._shipper.later(begin)

    def _note(self, facts: dict[str, str]) -> None:
        with contextlib.suppress(RunEnded):
            self._journal.write({"kind": "facts", "values": facts})

    def stop(self) -> None:
        """End both; a run that ends at once still gets a moment for its facts and its first sample."""
        if self._capture_begun is not None:
            deadline = time.monotonic() + CAPTURE_S
            if self._capture_begun.wait(CAPTURE_S) and self._capture is not None:
                self._capture.join(max(0.0, deadline - time.monotonic()))
        self._begin_sampling()
        with self._lock:
            self._has_stopped = True
        if self._sampler is not None:
            self._sampler.stop()
