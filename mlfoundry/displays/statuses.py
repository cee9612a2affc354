"""The status of a run as sign, word and colour."""

from __future__ import annotations

from ..records.runs import RunRecord, RunStatus
from .markup import Html

STATUS_SIGNS = {
    RunStatus.RUNNING: "●",
    RunStatus.SCHEDULED: "○",
    RunStatus.FINISHED: "✓",
    RunStatus.FAILED: "✕",
    RunStatus.KILLED: "■",
}
_STATUS_COLOURS = {
    # JupyterLab's own, which follow its theme; elsewhere tones that can be read on light and on dark.
    RunStatus.RUNNING: "var(--jp-info-color0, #1f7fd0)",
    RunStatus.SCHEDULED: "inherit",
    RunStatus.FINISHED: "var(--jp-success-color0, #2e8b2e)",
    RunStatus.FAILED: "var(--jp-error-color0, #e03c3c)",
    RunStatus.KILLED: "var(--jp-warn-color0, #b5701c)",
}


def status_text(status: RunStatus) -> str:
    """Return a status as a sign and a word."""
    return f"{STATUS_SIGNS[status]} {status.value.lower()}"


def standing(run: RunRecord) -> str:
    """Return the status of a run as a sign and a word, and whether the run is deleted."""
    return status_text(run.status) + (", deleted" if run.deleted_at is not None else "")


def html_status(status: RunStatus, *, is_deleted: bool = False) -> Html:
    """Return a status as sign, word and colour, and whether the run is deleted."""
    told = Html.element("span", status_text(status), style=f"color:{_STATUS_COLOURS[status]};font-weight:600")
    return Html.element("span", told, ", deleted") if is_deleted else told
