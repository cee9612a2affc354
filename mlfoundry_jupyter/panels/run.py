"""The live panel of one run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import traitlets

import mlfoundry
from mlfoundry import Client, StoredRun

from .. import fallback
from .feed import executed_cell, feed
from .following import Following, Message
from .panel import Answer, Panel, Picture
from .renewal import Renewal


class RunPanel(Panel):
    """A run while it runs and afterwards: status, params, metrics, the machine, its cells, the tracker itself.

    Args:
        run: A run, its id or ``owner/project/run``. It may belong to another process.
        client: Who asks, when `run` is given as text; `mlfoundry.get_client` by default.

    Attributes:
        paused: Whether the charts stand still.
        smoothing: 0 (as logged) to 1.
        log_scale: Whether the value axis is logarithmic (`log` is taken by ipywidgets).
        x_axis: ``"step"`` or ``"time"``.
        selected_series: What is drawn, by ``"metrics"`` and ``"system"``: names of metrics, of groups such as
            ``"Disk"``, or of single system metrics; the view's own choice where absent.
        tab: Which part is in front: ``"metrics"``, ``"system"``, ``"cells"`` or ``"details"``.

    Example:
        >>> panel = RunPanel(run)                                               # doctest: +SKIP
        >>> panel.show()                                                        # doctest: +SKIP
    """

    VIEW = "run"
    MOUNT = "mountRun"

    paused = traitlets.Bool(False).tag(sync=True)
    smoothing = traitlets.Float(0.0).tag(sync=True)
    log_scale = traitlets.Bool(False).tag(sync=True)
    x_axis = traitlets.Unicode("step").tag(sync=True)
    selected_series: Any = traitlets.Dict().tag(sync=True)
    tab = traitlets.Unicode("metrics").tag(sync=True)

    def __init__(self, run: StoredRun | str, client: Client | None = None, **traits: Any) -> None:
        if isinstance(run, str):
            run = (client or mlfoundry.get_client()).get_run(run)
        self.run = run
        self._following = Following(run)
        self._is_final = False
        self._renewal = Renewal()
        super().__init__(**traits)
        feed().add(self)

    # -- life ------------------------------------------------------------------------------------

    def pulse(self, now_s: float) -> None:
        """See `Panel.pulse`."""
        with self.lock:
            if self._closed:
                return
            if self.is_seen:
                self._say(self._following.new(now_s))
            else:
                self._following.look()
            if self._following.has_ended:
                # What a thread displays is lost on clients that hear the running cell alone, as those of scripts do:
                # the picture is left once more when a cell ends.
                feed().remove(self, settles=bool(self._display_ids))
                if not self._is_final:
                    self._is_final = True
                    self.refresh_picture()
            elif self._is_kept and self._renewal.is_due(now_s, executed_cell()):
                self._renew(now_s)

    def settle(self) -> None:
        """See `Panel.settle`."""
        with self.lock:
            if self._closed or not self._display_ids:
                return
            now_s = time.monotonic()
            if self.is_seen and not self._is_final:
                self._say(self._following.new(now_s, looks=True))
            else:
                self._following.look()
            if self._following.has_ended:
                feed().remove(self)
                self._is_final = True
                self.refresh_picture()
            elif self._renewal.is_due_at_end(now_s):
                self._renew(now_s)

    def _renew(self, now_s: float) -> None:
        began_s = time.thread_time()
        try:
            self.renew_picture()
        finally:
            self._renewal.drawn(now_s, time.thread_time() - began_s)

    def send_all(self) -> None:
        """See `Panel.send_all`."""
        self._say(self._following.whole())

    def send_since(self, away_s: float) -> None:  # noqa: ARG002  points say themselves where some are missing
        """See `Panel.send_since`."""
        self._say(self._following.new(time.monotonic(), looks=True))

    def _say(self, messages: list[Message]) -> None:
        for content, carried in messages:
            self.say(content, *carried)

    def subject(self) -> str:
        """See `Panel.subject`."""
        return self.run.fqn

    def picture(self) -> Picture:
        """See `Panel.picture`."""
        with self.lock:
            following = self._following
            following.look()
            logged, system = following.series(fallback.POINTS)
            return fallback.run_picture(following.record, following.facts, logged, system)

    # -- questions -------------------------------------------------------------------------------

    def verbs(self) -> Mapping[str, Callable[..., Answer]]:
        """See `Panel.verbs`."""
        return {"whole": self._whole, "set_tags": self._set_tags, "set_description": self._set_description}

    def _whole(self) -> Answer:
        self._say(self._following.whole())
        return None, ()

    def _set_tags(self, tags: Mapping[str, Any]) -> Answer:
        self.run.set_tags(tags)
        return self._edited()

    def _set_description(self, text: str) -> Answer:
        self.run.set_description(text)
        return self._edited()

    def _edited(self) -> Answer:
        if isinstance(self.run, mlfoundry.Run):
            self.run.flush(2.0)
        self._following.look()
        snapshot = self._following.snapshot()
        self.say({"kind": "run", "run": snapshot})
        return snapshot, ()
