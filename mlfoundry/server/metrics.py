"""What the server counts about itself, in the text form that Prometheus reads."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class ServerMetrics:
    """Counters of one application; routes are labelled by their pattern, never by what a caller wrote."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "mlfoundry_requests", "Requests answered.", ("method", "route", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "mlfoundry_request_seconds",
            "Time until a request was answered.",
            ("method", "route"),
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._points = Counter("mlfoundry_ingested_bytes", "Bytes of slots ingested.", registry=self._registry)

    def note(self, method: str, route: str, status: int, took_s: float) -> None:
        """Count a request."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(took_s)

    def note_ingested(self, size_bytes: int) -> None:
        """Count a batch."""
        self._points.inc(size_bytes)

    def text(self) -> bytes:
        """Return all counters."""
        return generate_latest(self._registry)
