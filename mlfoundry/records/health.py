"""How the tracker of a run is doing."""

from __future__ import annotations

from dataclasses import dataclass

from .shown import Shown


@dataclass(frozen=True, slots=True, repr=False)
class Health(Shown):
    """How the tracker of a run is doing; truthful at the moment it is asked.

    Attributes:
        state: ``"ok"``, ``"behind"`` (something is not stored yet), ``"offline"`` (the backend cannot be
            reached), ``"refused"`` (the backend will not take the data), ``"losing"`` (what is logged finds no room) or
            ``"lost"`` (records were lost before; what is logged now is kept).
        accepted: Points of metrics that log calls took in this process; params, tags and files are not counted.
        pending_bytes: What is accepted and not yet stored.
        not_durable_bytes: What is accepted and a power cut could still take.
        in_memory_bytes: What even the end of this process could take, because no file could be had.
        lost: Records that found no room at all.
        message: Why, and what to do; empty when all is well.
        tracker_cpu_s: CPU seconds that shipper and sampler have used so far.
    """

    state: str
    accepted: int
    pending_bytes: int
    not_durable_bytes: int
    in_memory_bytes: int
    lost: int
    message: str
    tracker_cpu_s: float
