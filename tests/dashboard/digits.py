"""The project "digits", with which dashboards were compared: 60 runs, 53 finished, 5 failed, 2 live, long names.

Made from a seed. By last val_loss, cnn-28 (failed) is lowest and cnn-53 the lowest of those that finished; by the
least of all steps it is cnn-23. Seven runs have model svm and lr < 0.01, twelve have svm in their name.
"""

from __future__ import annotations

import math
import random
import time
import uuid
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlfoundry import slots
from mlfoundry.records import Batch, NewRun, RunKey
from mlfoundry.tracking.service import TrackingService

OWNER = "ann"
PROJECT = "digits"
SVMS = 12
SMALL_SVMS = 7
FAILED = {
    9: "ValueError: Input X contains NaN.",
    28: "KeyError: 'label'",
    36: "RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB",
    41: "ZeroDivisionError: float division by zero",
    50: "FileNotFoundError: [Errno 2] No such file or directory: 'digits.npz'",
}
TRACEBACK = "Traceback (most recent call last):\n  File \"train.py\", line 12, in <module>\nKeyError: 'label'"
LIVE = (59, 60)
MODELS = {23: "cnn", 28: "cnn", 53: "cnn"}
SOURCE = "lr = 0.001\nfor epoch in range(40):\n    train(model, lr)\n"


@dataclass
class Log:
    """Writes to a run what a journal would, and gives it to the rules."""

    tracking: TrackingService
    user: str
    run: RunKey
    at_us: int
    journal_id: int = field(default_factory=lambda: uuid.uuid4().int >> 65)

    def __post_init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._data = bytearray()
        self._sent = 0

    @property
    def _place(self) -> int:
        return self._sent + len(self._data) // slots.SLOT

    def points(
        self, name: str, values: Sequence[float], *, first_step: int = 0, first_at_us: int | None = None, gap_us: int
    ) -> Log:
        """Write values of one metric at steps that follow each other."""
        number = self._numbers.setdefault(name, len(self._numbers) + 1)
        at_us = self.at_us if first_at_us is None else first_at_us
        seed = slots.seed(self.journal_id) + self._place
        for n, value in enumerate(values):
            body = slots.POINT.pack(number, first_step + n, at_us + n * gap_us, value)
            self._data += zlib.crc32(body, (seed + n) & 0xFFFF_FFFF).to_bytes(4, "little") + body
        return self

    def document(self, content: Mapping[str, Any], at_us: int | None = None) -> Log:
        """Write a document."""
        at_us = self.at_us if at_us is None else at_us
        self._data += slots.document(content, at_us, slots.seed(self.journal_id) + self._place)
        return self

    def params(self, values: Mapping[str, Any]) -> Log:
        """Write params."""
        typed = {name: [type(value).__name__, str(value)] for name, value in values.items()}
        return self.document({"kind": "params", "values": typed})

    def facts(self, values: Mapping[str, str]) -> Log:
        """Write facts."""
        return self.document({"kind": "facts", "values": dict(values)})

    def end(self, status: str, took_us: int, **more: Any) -> Log:
        """Write the end."""
        return self.document({"kind": "end", "status": status, "elapsed_us": took_us, **more}, self.at_us + took_us)

    def send(self) -> None:
        """Give the rules what was written."""
        names = {number: (name,) for name, number in self._numbers.items()}
        start, stop = self._sent, self._place
        self.tracking.ingest(self.user, Batch(self.run, self.journal_id, start, stop, bytes(self._data), names))
        self._data.clear()
        self._sent = stop


def make_run(
    tracking: TrackingService,
    name: str,
    *,
    project: str = PROJECT,
    owner: str = OWNER,
    user: str | None = None,
    at_us: int | None = None,
    tags: Mapping[str, str] | None = None,
    description: str = "",
) -> Log:
    """Make a run and return what logs to it."""
    at_us = time.time_ns() // 1000 if at_us is None else at_us
    new = NewRun(uuid.uuid4().hex, project, name, owner, dict(tags or {}), description, at_us)
    user = user or owner
    return Log(tracking, user, tracking.create_run(user, new).key, at_us)


def make_digits(tracking: TrackingService) -> dict[str, RunKey]:
    """Make the project; return its runs by the beginning of their names."""
    dice = random.Random(7)
    now_us = time.time_ns() // 1000
    svms = 0
    made: dict[str, RunKey] = {}
    for number in range(1, 61):
        model = MODELS.get(number) or ("svm" if number % 5 == 1 else dice.choice(["cnn", "mlp", "logreg"]))
        lr = dice.choice([0.01, 0.03, 0.1]) if model != "svm" else (0.003 if svms < SMALL_SVMS else 0.03)
        svms += model == "svm"
        made[f"{model}-{number:02}"] = _make_one(tracking, dice, number, model, lr, now_us)
    assert svms == SVMS
    return made


def _make_one(
    tracking: TrackingService, dice: random.Random, number: int, model: str, lr: float, now_us: int
) -> RunKey:
    long = "-with-a-long-name-that-says-everything-about-what-was-tried-on-this-day" if number % 9 == 0 else ""
    is_live = number in LIVE
    began_us = now_us - (61 - number) * 3_700_000_000 if not is_live else now_us - (61 - number) * 30_000_000
    steps = 60 if is_live else dice.randrange(40, 500)
    log = make_run(
        tracking, f"{model}-{number:02}{long}", at_us=began_us, tags={"baseline": "true"} if number % 10 == 0 else {}
    )
    log.params(
        {
            "model": model, "lr": lr, "batch_size": dice.choice([32, 64, 128]), "epochs": 40,
            "dropout": dice.choice([0.0, 0.1, 0.25]), "optimizer": dice.choice(["sgd", "adam"]), "seed": number,
            "dataset": "digits",
        }
    )  # fmt: skip
    floor = 0.12 + dice.random() * 0.5
    curve = [floor + 2.0 * math.exp(-6 * n / steps) + 0.02 * dice.random() for n in range(steps)]
    least, last = {28: (0.05, 0.0666), 53: (0.09, 0.0931), 23: (0.0099, 0.2143)}.get(number, (None, None))
    if least is not None and last is not None:
        curve[steps // 2], curve[-1] = least, last
    log.points("val_loss", curve, gap_us=1_000_000)
    log.points("loss", [0.7 * value for value in curve], gap_us=1_000_000)
    log.points("accuracy", [1 - value / 3 for value in curve], gap_us=1_000_000)
    _machine(log, dice, min(steps, 120))
    if number in FAILED:
        error = FAILED[number]
        log.facts({"error.traceback": TRACEBACK.replace("KeyError: 'label'", error)})
        log.end("FAILED", steps * 1_000_000, error=error)
    elif not is_live:
        log.end("FINISHED", steps * 1_000_000)
    log.send()
    return log.run


def _machine(log: Log, dice: random.Random, samples: int) -> None:
    gibibyte = float(1 << 30)
    log.points("system/cpu/percent", [31 + dice.random() for _ in range(samples)], gap_us=1_000_000)
    log.points("system/memory/used_bytes", [(3 + n / samples) * gibibyte for n in range(samples)], gap_us=1_000_000)
    log.points("system/memory/total_bytes", [16 * gibibyte] * samples, gap_us=1_000_000)
    log.points(
        "system/gpu/0/utilization_percent", [dice.choice([96.0, 97.0, 12.0]) for _ in range(samples)], gap_us=1_000_000
    )
