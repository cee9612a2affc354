"""A run that this process logs to: what each call records, and how the run ends."""

from __future__ import annotations

import contextlib
import io
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO

from .. import values
from ..documents import FACT_LIMIT, OWN_FACTS
from ..errors import BackendUnavailable, InvalidName, InvalidValue, ParamChanged, RunEnded, shown
from ..journal import Journal
from ..log import Log
from ..names import legal_key, legal_path
from ..records import ArtifactRecord, Health, NewRun, RunRecord, RunStatus
from ..results import ArtifactList
from ..shipping import shipper as shippers
from ..shipping.shipment import Shipment
from . import endings, own_runs, process_exit, progress, standing, waiting
from .figures import figure_bytes
from .observation import Observation
from .stored_run import StoredRun, unpickled_client
from .uploads import Uploads, files_to_log

if TYPE_CHECKING:
    from ..client import Client
    from ..settings import Settings

_log = Log("mlfoundry")


class Run(StoredRun):
    """A run that this process logs to: from `Client.create_run` (which it also ends) or `Client.join_run`.

    Log calls never wait for the disk, the store or a server and never raise for their sake; they raise for
    wrong use, before anything of the call is recorded. When they return, the data survives the death of
    this process; at most 1 s later, or after `flush`, also a power cut. Threads may log at once; so may
    forked children, into journals of their own that are merged.

    As a context manager it ends the run: FINISHED, FAILED for an exception, KILLED for KeyboardInterrupt. A generator
    that holds the block and is closed before its end has FINISHED as well: its consumer has enough.

    Example:
        >>> run = client.create_run("demo")
        >>> run.log_metrics({"loss": 0.08, "accuracy": 0.97}, step=1)
        >>> run.end()
    """

    def __init__(
        self, client: Client, record: RunRecord, journal: Journal, new: NewRun, *, owns_end: bool, made: bool
    ) -> None:
        super().__init__(client, record)
        self._journal = journal
        self._log: Callable[..., None] = journal.log  # until the end, see `_refuse`
        self._new = new
        self._owns_end = owns_end
        self._made = made
        self._params: dict[str, str] = {}
        self._ended = False
        self._end_lock = threading.RLock()
        self._uploads = Uploads(client.backend, journal)
        self._observation: Observation | None = None
        self._started = endings.steady_us()
        self._pid = os.getpid()
        self._shipment: Shipment | None = None
        own_runs.enter(self)  # first: whatever interrupts what follows finds the run there, and ends it
        journal.on_open = self._ship
        if journal.folder is not None or journal.trouble is not None:
            self._ship(journal, fresh=True)

    def _ship(self, journal: Journal, *, fresh: bool = True) -> None:
        """Hand the journal to this process's shipper."""
        run = self._record.key if self._made else None
        self._shipment = Shipment(journal, self.client.backend, self._new, run=run, on_made=self._was_made, fresh=fresh)
        shippers.shipper().add(self._shipment)

    def _was_made(self, record: RunRecord) -> None:
        """Take over what the backend made of a run that began offline."""
        with self._end_lock:
            if self._ended:  # offline: how it ended is known here, and there not yet
                ended = {name: getattr(self._record, name) for name in ("status", "error", "ended_at")}
                record = replace(record, **ended)
            self._record = record
            self._made = True
        self._journal.origin.update(project_id=record.key.project_id, run_name=record.run_name)
        if not self._ended:
            with contextlib.suppress(RunEnded):
                content = {"kind": "created", "project_id": record.key.project_id, "run_name": record.run_name}
                self._journal.write(content)

    # -- logging ---------------------------------------------------------------------------------

    def log_metrics(
        self, metrics: Mapping[str, Any], step: int | None = None, timestamp: datetime | float | None = None
    ) -> None:
        """Log one value of each metric.

        Args:
            metrics: Key to number: int, float, bool, Decimal, numpy scalars, arrays and tensors of one
                element, NaN and the infinities. A ``/`` in a key groups charts: ``val/loss``.
            step: Any int64, also late or repeated; without it each key counts up from the greatest that this process
                has given it, the first time from 0.
            timestamp: When it was measured, as datetime or seconds since 1970; now when not given.

        Raises:
            InvalidValue: A value is no number; says which key and what it got.
            InvalidName: A key is not legal.
            RunEnded: The run has ended.
        """
        try:
            if timestamp is None and type(metrics) is dict:
                self._log(metrics, step)
            else:
                at_us = None if timestamp is None else values.microseconds(timestamp)
                self._log(_as_dict(metrics), step, at_us)
        except RunEnded:
            if not process_exit.is_over():
                raise

    def log_params(self, params: Any) -> None:
        """Log params: what the run was asked to do. They do not change; the same value again is fine.

        Args:
            params: A mapping, an ``argparse.Namespace`` or a dataclass's instance; nested ones are joined with dots.
                What comes back of each value is told by `StoredRun.get_params`.

        Raises:
            ParamChanged: A param has another value already; nothing of the call is recorded.
            InvalidName, InvalidValue: A key or value cannot be kept; nothing of the call is recorded.
            RunEnded: The run has ended.
        """
        if self._ended:
            raise self._has_ended("log_params")
        flat = {name: values.param_text(name, value) for name, value in values.flatten(params).items()}
        for name, (_, text) in flat.items():
            if self._params.get(name, text) != text:
                raise ParamChanged(name, self._params[name], text)
        new = {name: list(typed) for name, typed in flat.items() if name not in self._params}
        if new:
            self._write({"kind": "params", "values": new})
            self._params.update((name, typed[1]) for name, typed in flat.items())

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Set tags in place of those before; None as value removes one.

        Raises:
            InvalidName, InvalidValue: A key or value cannot be kept; nothing of the call is recorded.
            RunEnded: The run has ended.
        """
        if self._ended:
            self._await_end()
            super().set_tags(tags)
        elif texts := values.tag_texts(tags):
            self._write({"kind": "tags", "values": texts})

    def set_description(self, text: str) -> None:
        """Set the description."""
        if self._ended:
            self._await_end()
            super().set_description(text)
        else:
            self._write({"kind": "description", "text": values.plain_text("description", text)})

    def _write(self, content: Mapping[str, Any]) -> None:
        try:
            self._journal.write(content)
        except RunEnded:
            if not process_exit.is_over():
                raise

    def log_facts(self, facts: Mapping[str, str]) -> None:
        """Record facts: what is known of the run beside params, such as the source of its cell.

        A later text takes the place of an earlier one. They are shown with the run and not searched.

        Args:
            facts: Name to text of at most 1,048,576 characters; names that begin with ``tracker.`` are kept.

        Raises:
            InvalidName, InvalidValue: A name or text cannot be kept; nothing of the call is recorded.
            RunEnded: The run has ended.
        """
        if self._ended:
            raise self._has_ended("log_facts")
        texts = {legal_key("fact", name): text for name, text in facts.items()}
        for name, text in texts.items():
            if name.startswith(OWN_FACTS):
                raise InvalidName(f"fact {name!r} begins with {OWN_FACTS!r}, which is kept for the store's own counts")
            values.plain_text(f"fact {name!r}", text, FACT_LIMIT)
        if texts:
            self._journal.write({"kind": "facts", "values": texts})

    def _await_end(self) -> None:
        """Make sure that what was logged before the end cannot overtake an edit that comes after it."""
        shipment = self._shipment
        if shipment is not None and not waiting.until_over(shipment, self.client.settings.end_timeout_s):
            why = shipment.trouble or "try again"
            raise BackendUnavailable(f"{self.fqn} has ended and is not stored yet, so it cannot be edited: {why}")

    def log_artifact(self, local_path: str | os.PathLike[str], artifact_path: str | None = None) -> ArtifactList:
        """Store a file, or all files of a folder, with the run.

        Returns when the bytes are stored; with a store that cannot be reached or does not take them, when a copy is
        kept to be stored later, which `health` says. Links inside a folder are not followed. In notebooks and terminals
        it is shown how far a file is that takes longer than a second.

        Args:
            local_path: A file or a folder.
            artifact_path: Folder of the run to store it under; its top when not given. A file keeps its
                name, of a folder only the names below it are kept. What lies at a path already is replaced.

        Returns:
            What was stored.

        Raises:
            InvalidInput: There is no such file, or a folder holds nothing or links.
            RunEnded: The run has ended.
        """
        stored = ArtifactList()
        for path, file in files_to_log(local_path, artifact_path).items():
            with file.open() as source, progress.shown(f"Storing {path}", os.fstat(source.fileno()).st_size) as meter:
                stored.append(self._put(path, progress.watched(source, meter), "log_artifact"))
        return stored

    def log_text(self, text: str, path: str) -> ArtifactRecord:
        """Store text as an artifact (UTF-8); see `log_artifact`."""
        if not isinstance(text, str):
            raise InvalidValue(f"log_text got {type(text).__name__}; give text, or use log_artifact for a file")
        try:
            data = text.encode()
        except UnicodeEncodeError as error:
            raise InvalidValue(f"log_text got half of a surrogate pair, which is no text: {error}") from error
        return self._put(legal_path(path), io.BytesIO(data), "log_text")

    def log_figure(self, figure: Any, path: str) -> ArtifactRecord:
        """Store a figure of matplotlib or plotly as an artifact; see `log_artifact`.

        Args:
            figure: A matplotlib figure, axes or ``pyplot``; or a plotly figure.
            path: Its ending chooses the format. matplotlib: png (when there is none), svg, pdf. plotly: json
                (when there is none), html, which holds all it needs to be looked at offline.
        """
        data, ending = figure_bytes(figure, legal_path(path))
        return self._put(legal_path(path + ending), io.BytesIO(data), "log_figure")

    def _put(self, path: str, source: BinaryIO, verb: str) -> ArtifactRecord:
        if self._ended:
            raise self._has_ended(verb)
        return self._uploads.put(self._record.key if self._made else None, path, source)

    def _refuse(self, *_: object) -> None:
        if not process_exit.is_over():  # else nobody is left to be told
            raise self._has_ended("log_metrics")

    def _has_ended(self, verb: str) -> RunEnded | SystemExit:
        if process_exit.is_over():
            return SystemExit()  # ends a daemon thread without a word, a moment before Python does
        return endings.has_ended(self._record, verb, owns_end=self._owns_end)

    # -- life cycle ------------------------------------------------------------------------------

    @property
    def status(self) -> RunStatus:
        """RUNNING until `end`, whatever the store knows already."""
        return self._record.status if self._ended else RunStatus.RUNNING

    def flush(self, timeout_s: float = 30.0) -> bool:
        """Make all that was logged so far durable, and wait until it is stored.

        Returns:
            Whether it is stored; False when the time ran out, and then it is still on its way.
        """
        target = self._journal.tail
        self._journal.sync()
        shipment = self._shipment
        if shipment is None:  # a forked child that has logged nothing
            return True
        return waiting.until_stored(shipment, self._uploads, target, timeout_s)

    def end(self, status: RunStatus | str = RunStatus.FINISHED) -> None:
        """End the run and wait, for a bounded time, until all of it is stored. Twice is a no-op: the first end counts.

        Args:
            status: FINISHED, FAILED or KILLED; an enum or its name. A handle from `Client.join_run`, and a
                forked child's, end only their own part: the run goes on.

        Raises:
            InvalidInput: Another status.
        """
        self._end(endings.terminal(status), error="", timeout_s=self.client.settings.end_timeout_s)

    def _end(self, status: RunStatus, *, error: str, timeout_s: float, traceback: BaseException | None = None) -> None:
        """End the run in this process; `traceback` is the exception whose traceback is kept."""
        if self._observation is not None:
            self._observation.stop()
        with self._end_lock:
            if self._ended:
                if self._owns_end:
                    endings.warn_late(self._record, status)
                return
            elapsed_us = endings.steady_us() - self._started
            self._ended = True
            self._log = self._refuse
            own_runs.leave(self)
        if self._owns_end and self._pid == os.getpid():
            if traceback is not None:
                trace = {"error.traceback": process_exit.traced(traceback)}
                self._journal.write({"kind": "facts", "values": trace})
            content = {"kind": "end", "status": status.value, "error": error, "elapsed_us": elapsed_us}
            self._journal.finish(content)
            self._record = endings.ended_record(self._record, status, error, elapsed_us)
        else:
            self._journal.finish(None)  # a thread that is inside of a log call is either before this or refused
        shipment = self._shipment
        if shipment is None:
            self._journal.close(settled=True)
            return
        shipment.last = True
        self._journal.sync()
        self._await_stored(shipment, timeout_s)

    def _await_stored(self, shipment: Shipment, timeout_s: float) -> None:
        """Wait until all is stored, for a bounded time; say what is not."""
        if waiting.until_ended(shipment, timeout_s):
            with contextlib.suppress(BackendUnavailable):
                self._record = self.client.backend.get_run(self.run_id)
        else:
            _log.warning("%s has ended; %s", self.fqn, standing.unstored(self._journal, shipment, self._uploads))

    def __enter__(self) -> Run:
        if self._ended:
            raise self._has_ended("with block")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        timeout_s = self.client.settings.end_timeout_s
        status = RunStatus.FINISHED if error is None else process_exit.status_of(error)
        if error is None or status is RunStatus.FINISHED:
            self._end(status, error="", timeout_s=timeout_s)
        else:
            self._end(status, error=process_exit.described(error), timeout_s=timeout_s, traceback=error)

    def rename(self, run_name: str) -> str:
        """See `StoredRun.rename`; what was logged is stored first."""
        if self._ended:
            self._await_end()
        else:
            self._settle()
        return super().rename(run_name)

    def delete(self) -> None:
        """End the run, as KILLED when it is open, and delete it; `restore` brings it back."""
        if not self._ended:
            self.end(RunStatus.KILLED)
        super().delete()

    @property
    def health(self) -> Health:
        """How the tracker of this run is doing; see `Health`."""
        shipper = shippers.current()
        cpu_s = self._observation.cpu_s if self._observation is not None else 0.0
        cpu_s += shipper.cpu_s if shipper is not None else 0.0
        return standing.health(
            self._journal,
            self._shipment,
            self._uploads,
            tracker_cpu_s=cpu_s,
            is_shipping=shipper is None or shipper.is_whole,
        )

    def refresh(self) -> StoredRun:
        """Store what was logged, then fetch the run."""
        self._settle()
        return super().refresh()

    def _settle(self) -> None:
        if not self._ended and not self.flush(self.client.settings.end_timeout_s):
            why = self._shipment.trouble if self._shipment is not None else ""
            raise BackendUnavailable(
                f"what was logged to {self.run_name!r} is not stored yet, so it cannot be read: "
                f"{why or 'the store is slow'}"
            )

    def _observe(self, *, interval_s: float | None, capture: bool) -> None:
        """Begin to sample the machine, unless `interval_s` is None, and to capture the surroundings."""
        self._observation = Observation(self._journal, shippers.shipper())
        if interval_s is not None:
            self._observation.start_sampling(interval_s)
        if capture:
            self._observation.start_capture()

    # -- elsewhere -------------------------------------------------------------------------------

    def _forked(self) -> None:
        """In a forked child: log on, as a part of the run that does not end it."""
        self._end_lock = threading.RLock()
        self._owns_end = False
        self._observation = None
        self._shipment = None  # the child's journal, a new one, is shipped once it holds something

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        """In another process this becomes a handle that joins the run, with the key that is known there."""
        return _join, (self.client.settings, self.run_id)


def _join(settings: Settings, run_id: str) -> Run:
    from ..client import Client

    return unpickled_client(Client, settings).join_run(run_id)


def _as_dict(metrics: object) -> dict[str, Any]:
    if not isinstance(metrics, Mapping):
        raise InvalidValue(f"log_metrics takes a mapping of key to number, not {shown(metrics)}")
    return dict(metrics)
