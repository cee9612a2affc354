"""What the server counts about itself, in the text form that Prometheus reads.

One process counts in its memory. Several workers each count in files of a folder that they share, and whichever of
them is asked adds all files up: the answer is the same from each, and what a worker counted outlives it.
"""

from __future__ import annotations

import os
from pathlib import Path

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"  # read by prometheus_client when it is imported, hence in no function here


class ServerMetrics:
    """Counters of one server; routes are labelled by their pattern, never by what a caller wrote."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "mlfoundry_requests", "Requests answered.", ("method", "route", "status"), registry=registry
        )
        self._seconds = Histogram(
            "mlfoundry_request_seconds",
            "Time until a request was answered.",
            ("method", "route"),
            buckets=_BUCKETS,
            registry=registry,
        )
        self._bytes = Counter("mlfoundry_ingested_bytes", "Bytes of slots taken from journals.", registry=registry)
        self._batches = Counter("mlfoundry_ingested_batches", "Batches taken from journals.", registry=registry)
        self._open = Gauge(
            "mlfoundry_requests_open",
            "Requests being answered now.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._workers = Gauge(
            "mlfoundry_workers", "Processes that answer.", registry=registry, multiprocess_mode="livesum"
        )
        self._workers.set(1)

    def begin(self) -> None:
        """Count a request that is being answered."""
        self._open.inc()

    def note(self, method: str, route: str, status: int, took_s: float) -> None:
        """Count a request that `begin` was told of and that is answered now."""
        self._open.dec()
        method = metric_method(method)
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(took_s)

    def note_ingested(self, size_bytes: int) -> None:
        """Count a batch."""
        self._batches.inc()
        self._bytes.inc(size_bytes)

    def text(self) -> bytes:
        """Return all counters, of all workers."""
        from prometheus_client import CollectorRegistry, generate_latest
        from prometheus_client.multiprocess import MultiProcessCollector

        folder = os.environ.get(FOLDER_VARIABLE)
        if not folder:
            return generate_latest(self._registry)
        _forget_the_dead(Path(folder))
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=folder)  # type: ignore[no-untyped-call]
        return generate_latest(registry)


def metric_method(method: str) -> str:
    """Return a method of HTTP, or ``other``: a caller may write any word there, and each would take memory for good."""
    return method if method in _METHODS else "other"


def _forget_the_dead(folder: Path) -> None:
    """Remove what workers that are gone said of their now; what they counted stays."""
    for file in folder.glob("gauge_live*_*.db"):
        process = int(file.stem.rpartition("_")[2])
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            file.unlink(missing_ok=True)
        except PermissionError:  # another's process has its number now
            file.unlink(missing_ok=True)
