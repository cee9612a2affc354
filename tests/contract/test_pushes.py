"""Pushes that are broken off: what is still on its way of one counts once, whenever it arrives."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mlfoundry
from mlfoundry.client import Client
from mlfoundry.errors import JournalGap, JournalReplaced
from mlfoundry.push import Pushed, push
from mlfoundry.records import Acknowledgement, Batch, NewRun, RunKey, SeriesQuery
from mlfoundry.tracking.backend import Backend
from mlfoundry.tracking.embedded import EmbeddedBackend
from tests.contract.conftest import START_US, Pen

POINTS = {"loss": 700, "acc": 500}


class _Broken(BaseException):
    """The pusher is gone at this moment."""


class _Line:
    """A backend at the end of a line: the batch of one number stays on it, and its sender is gone.

    Attributes:
        sent: How many batches were sent.
        held: What stays on the line.
        deliver_at: The number of the batch before which it arrives after all; None for not on its own.
        refusals: How the backend did not take it.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.sent = 0
        self.break_at: int | None = None
        self.held: list[Batch] = []
        self.deliver_at: int | None = None
        self.refusals: list[Exception] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def ingest(self, batch: Batch) -> Acknowledgement:
        self.sent += 1
        if self.sent == self.break_at:
            self.held.append(batch)
            raise _Broken
        if self.sent == self.deliver_at:
            self.deliver()
        return self._backend.ingest(batch)

    def deliver(self) -> None:
        while self.held:
            try:
                self._backend.ingest(self.held.pop())
            except (JournalGap, JournalReplaced) as error:
                self.refusals.append(error)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """The folder that is pushed, with one run in it."""
    monkeypatch.setattr("mlfoundry.push.journal.BATCH_SLOTS", 300)  # so that a run is sent in several batches
    with mlfoundry.get_client(tmp_path / "here", user="ann") as client:
        yield client


def _log(here: Client, run: RunKey, first_step: int) -> None:
    journal = Pen(here.backend, run, secrets.randbits(62))
    for name, count in POINTS.items():
        journal.points(name, [float(first_step + n) for n in range(count)], first_step)
    journal.send()


def _made(here: Client) -> RunKey:
    new = NewRun(secrets.token_hex(16), "pushed", "svm", None, {"stage": "draft"}, "", START_US)
    run = here.backend.create_run(new).key
    _log(here, run, 0)
    Pen(here.backend, run, secrets.randbits(62)).end().send()
    return run


def _push(here: Client, line: Any) -> Pushed:
    assert isinstance(here.backend, EmbeddedBackend)
    pushed = push(here.backend, here.get_project("pushed"), line)
    assert pushed.left_out == []
    return pushed


def _points(backend: Backend, run_id: str) -> dict[str, tuple[list[int], list[float]]]:
    series = backend.read_series(SeriesQuery(backend.get_run(run_id).key))
    return {each.name: (each.steps.tolist(), each.values.tolist()) for each in series}


def _break_off(here: Client, line: _Line, number: int) -> None:
    line.sent, line.break_at = 0, number
    with pytest.raises(_Broken):
        _push(here, line)
    line.sent, line.break_at = 0, None


def _push_again(here: Client, line: _Line, arrives: int | str) -> None:
    """Push while what stayed on the line arrives: before, with the batch of that number, or afterwards."""
    if arrives == "at once":
        line.deliver()
    else:
        line.deliver_at = arrives if isinstance(arrives, int) else None
    _push(here, line)
    line.deliver()


@pytest.mark.parametrize(
    ("number", "arrives"), [(1, "at once"), (1, 1), (1, 2), (2, "at once"), (3, 1), (3, 2), (5, 4), (3, "afterwards")]
)
def test_a_batch_of_a_second_push_that_was_broken_off_counts_once_whenever_it_arrives(
    here: Client, backend: Backend, number: int, arrives: int | str
) -> None:
    run, line = _made(here), _Line(backend)
    _push(here, line)
    _log(here, run, 1000)
    _break_off(here, line, number)
    _push_again(here, line, arrives)
    assert _points(backend, run.run_id) == _points(here.backend, run.run_id)
    if arrives not in ("at once", 1):
        assert line.refusals
    assert _push(here, line).present == 1


@pytest.mark.parametrize(("number", "arrives"), [(1, 1), (1, 2), (2, 1), (2, "at once"), (4, "afterwards")])
def test_a_batch_of_a_first_push_counts_once_though_points_came_before_the_next(
    here: Client, backend: Backend, number: int, arrives: int | str
) -> None:
    run, line = _made(here), _Line(backend)
    _break_off(here, line, number)
    _log(here, run, 1000)
    _push_again(here, line, arrives)
    assert _points(backend, run.run_id) == _points(here.backend, run.run_id)
    assert _push(here, line).present == 1


def test_of_two_pushes_at_once_the_later_goes_on_and_the_other_says_so(here: Client, backend: Backend) -> None:
    run, line = _made(here), _Line(backend)
    _push(here, line)
    _log(here, run, 1000)
    others: list[Pushed] = []

    class _Beside(_Line):
        def ingest(self, batch: Batch) -> Acknowledgement:
            if self.sent == 2:
                others.append(_push(here, line))
            return super().ingest(batch)

    assert isinstance(here.backend, EmbeddedBackend)
    told = push(here.backend, here.get_project("pushed"), _Beside(backend))
    assert told.left_out == [("svm", "another push of it has begun meanwhile; push again when that is over")]
    assert (told.runs, others[0].runs) == (0, 1)
    assert _points(backend, run.run_id) == _points(here.backend, run.run_id)
    assert _push(here, line).present == 1
