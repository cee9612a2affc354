"""One cell of a run: what is learned from it, kept as facts ``cell.NNNN`` and ``cell.NNNN.source`` of the run.

The facts of a cell that runs hold when it began; at its end they hold what it cost and how it ended as well.
"""

from __future__ import annotations

import contextlib
import functools
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Number
from typing import Any

from mlfoundry import MlfoundryError, Run, RunStatus, values
from mlfoundry.errors import ParamChanged
from mlfoundry.runs import process_exit
from mlfoundry.settings import Settings

from .arguments import Learning
from .cost import Cost, Meter
from .literals import literal_params
from .masking import masked

LONGEST_SOURCE = 100_000
MOST_POINTS = 100_000
_MISSING = object()
_PLAIN = (bool, int, float, str, type(None))


@dataclass(slots=True)
class Learned:
    """What a recording has learned.

    Attributes:
        params: Literals that became params.
        kept: Literals that did not, since the run has another value for the param, which stands beside each.
        masked: How many secrets were masked; None when the source was not kept.
        cost: What the cell cost.
        metrics: Of each metric that was asked for and logged, its last value and how many there are.
        unlogged: Why a metric that was asked for is not there, by name.
    """

    params: dict[str, Any] = field(default_factory=dict)
    kept: dict[str, tuple[Any, str]] = field(default_factory=dict)
    masked: int | None = None
    cost: Cost = field(default_factory=lambda: Cost(0.0))
    metrics: dict[str, tuple[float, int]] = field(default_factory=dict)
    unlogged: dict[str, str] = field(default_factory=dict)


class Recording:
    """Records one execution of a cell into a run, from `begin` to `end`.

    Args:
        run: The run.
        number: The how-manyeth cell of the run it is, from 1.
        source: The cell's text.
        learning: What to learn; the settings decide where it says nothing.
        metrics: Names of variables to log as metrics at the end.
        namespace: The user's namespace.
    """

    def __init__(
        self,
        run: Run,
        number: int,
        source: str,
        *,
        learning: Learning,
        namespace: Mapping[str, Any],
        metrics: tuple[str, ...] = (),
    ) -> None:
        settings = run.client.settings
        self.run = run
        self.name = f"cell.{number:04d}"
        self.learned = Learned()
        self.masked_source: str | None = None
        self._source = source
        self._learns_source = _choice(learning.source, settings, "cell_source")
        self._learns_params = _choice(learning.params, settings, "cell_params")
        self._namespace = namespace
        self._metrics = metrics
        self._before = {name: namespace.get(name, _MISSING) for name in metrics}
        self._seen: set[str] = set()
        self._meter = Meter(
            is_whole=_choice(learning.cost, settings, "cell_cost"),
            on_look=self._log_params_early if self._learns_params else None,
        )
        self._started_at = time.time()
        self.has_ended = False

    def begin(self) -> None:
        """Keep the source and begin to measure."""
        facts = {self.name: json.dumps({"started_at": self._started_at})}
        if self._learns_source:
            self.masked_source, self.learned.masked = masked(_limited(self._source.replace("\0", "\\0")))
            facts[f"{self.name}.source"] = self.masked_source
        with contextlib.suppress(MlfoundryError):
            self.run.log_facts(facts)
        self._meter.start()

    def end(self, status: RunStatus) -> Learned:
        """Record how the cell ended and what it cost; a run that has ended takes nothing more. Twice is a no-op."""
        if self.has_ended:
            return self.learned
        self.has_ended = True
        cost = self.learned.cost = self._meter.stop()
        told: dict[str, Any] = {
            "started_at": self._started_at,
            "ended_at": self._started_at + cost.wall_s,
            "wall_s": cost.wall_s,
            "cpu_s": cost.cpu_s,
            "peak_bytes": cost.peak_bytes,
            "gpu_bytes": cost.gpu_bytes,
            "status": status.value,
        }
        has_failed = status is not RunStatus.FINISHED
        with contextlib.suppress(MlfoundryError):
            self.run.log_facts({self.name: json.dumps({name: v for name, v in told.items() if v is not None})})
            for name in self._metrics:
                self._log_metric(name, has_failed=has_failed)
            if self._learns_params:
                self._log_params()
        return self.learned

    def _log_params(self) -> None:
        """Log the literals whose names still mean them."""
        for name, value in self._literals.items():
            now = self._namespace.get(name, _MISSING)
            if name in self._metrics or type(now) is not type(value) or now != value:
                continue
            try:
                self.run.log_params({name: value})
            except ParamChanged as error:
                self.learned.kept[name] = value, error.held
            except MlfoundryError:
                continue
            else:
                self.learned.params[name] = value

    def _log_params_early(self) -> None:
        """Log what the running cell has given a plain literal already, so that its panel shows it; in any thread.

        Only values that nobody's code can compare: what is in a list or a dict by now waits for the end.
        """
        with contextlib.suppress(Exception):  # nothing of it may reach the user's cell; the end logs it again
            for name, value in self._literals.items():
                now = self._namespace.get(name, _MISSING)
                is_new = name not in self._seen and name not in self._metrics
                if is_new and isinstance(value, _PLAIN) and type(now) is type(value) and now == value:
                    self._seen.add(name)
                    if not self.has_ended:
                        self.run.log_params({name: value})

    @functools.cached_property
    def _literals(self) -> dict[str, Any]:
        return literal_params(self._source)

    def _log_metric(self, name: str, *, has_failed: bool) -> None:
        value = self._namespace.get(name, _MISSING)
        if value is _MISSING:
            self.learned.unlogged[name] = "there is no such variable"
        elif has_failed and value is self._before[name]:
            self.learned.unlogged[name] = "the cell ended before it was computed"
        else:
            try:
                points = _points(value)
                for step, number in points:
                    self.run.log_metrics({name: number}, step=step)
                if points:
                    self.learned.metrics[name] = values.number(name, points[-1][1]), len(points)
            except (MlfoundryError, ValueError) as error:
                self.learned.unlogged[name] = str(error)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # a stranger's __float__ or __len__ may even exit: the kernel must not
                self.learned.unlogged[name] = f"it is no number: {type(error).__name__} was raised by it"


def _points(value: Any) -> list[tuple[int | None, Any]]:
    """Return the points of a variable: one without a step, or one a step of a list or a one-dimensional array."""
    shape = getattr(value, "shape", None)
    if isinstance(value, (list, tuple)) or (isinstance(shape, tuple) and len(shape) == 1 and shape[0] != 1):
        if len(value) > MOST_POINTS:
            raise ValueError(f"it has {len(value):,} values, at most {MOST_POINTS:,} are logged")
        if isinstance(value, (list, tuple)) and not all(
            isinstance(each, Number) or hasattr(each, "dtype") for each in value
        ):
            raise ValueError("it is a list of something else than numbers")
        return list(enumerate(value))
    return [(None, value)]


def _limited(source: str) -> str:
    """Return the whole lines that are kept of a source, which no token may be cut apart by."""
    if len(source) <= LONGEST_SOURCE:
        return source
    return source[: source.rfind("\n", 0, LONGEST_SOURCE) + 1] + "…"


def _choice(asked: bool | None, settings: Settings, name: str) -> bool:
    return bool(getattr(settings, name)) if asked is None else asked


def status_of(error: BaseException | None) -> RunStatus:
    """Return how a cell ended that an exception left, or none."""
    return RunStatus.FINISHED if error is None else process_exit.status_of(error)


def is_worth_recording(source: str) -> bool:
    """Return whether a cell does anything but call our magics."""
    lines = [line.strip() for line in source.splitlines()]
    return any(
        line and not line.startswith(("#", "%mlfoundry_", "%load_ext", "%reload_ext", "%unload_ext")) for line in lines
    )
