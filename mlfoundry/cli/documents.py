"""The shapes of ``--json`` and of exported JSON: records to plain JSON values, in one place.

They are stable: names are added, never changed or taken away.

* A point in time is text in UTC with microseconds, ``2025-01-31T12:00:00.000000Z``; a missing one is null.
* A number that JSON does not have is text: ``"NaN"``, ``"Infinity"``, ``"-Infinity"``. For params,
  ``param_types`` tells a number from a text of the same letters.
* A run: ``run_id owner project name fqn status created_by started_at ended_at duration_s description error
  deleted_at params param_types metrics tags``; each metric is ``last last_step last_at min max count``.
* A project: ``owner name created_at permission runs running last_run_at collaborators``.
* An artifact: ``path size_bytes sha256 created_at``. A collaborator: ``user permission is_owner added_at``.
* A user of a server: ``user is_admin created_at disabled_at``. A key: ``key_id user label state created_at expires_at
  revoked_at last_used_at``; the state is ``active``, ``expired`` or ``revoked``.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

from .. import displays
from ..records import Account, ApiKey, ArtifactRecord, Collaborator, MetricSummary, ProjectRecord, RunRecord


def time_text(at: datetime | None) -> str | None:
    """Return a time as text, None for None."""
    return None if at is None else at.isoformat(timespec="microseconds").replace("+00:00", "Z")


def number(value: float) -> float | str:
    """Return a float as JSON can hold it."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


def value(given: Any) -> Any:
    """Return a param's value as JSON can hold it."""
    if isinstance(given, float):
        return number(given)
    if isinstance(given, dict):
        return {str(name): value(inner) for name, inner in given.items()}
    if isinstance(given, (list, tuple)):
        return [value(inner) for inner in given]
    return given


def metric(summary: MetricSummary) -> dict[str, Any]:
    """Return what is known of a metric."""
    return {
        "last": number(summary.last),
        "last_step": summary.last_step,
        "last_at": time_text(summary.last_at),
        "min": number(summary.min),
        "max": number(summary.max),
        "count": summary.count,
    }


def run(record: RunRecord) -> dict[str, Any]:
    """Return a run with its params, metrics and tags."""
    return {
        "run_id": record.key.run_id,
        "owner": record.owner,
        "project": record.project_name,
        "name": record.run_name,
        "fqn": f"{record.owner}/{record.project_name}/{record.run_name}",
        "status": record.status.value,
        "created_by": record.created_by,
        "started_at": time_text(record.started_at),
        "ended_at": time_text(record.ended_at),
        "duration_s": round(displays.duration_s(record), 6),
        "description": record.description,
        "error": record.error,
        "deleted_at": time_text(record.deleted_at),
        "params": {name: value(given) for name, given in record.params.items()},
        "param_types": {name: _type(given) for name, given in record.params.items()},
        "metrics": {name: metric(summary) for name, summary in sorted(record.metrics.items())},
        "tags": dict(record.tags),
    }


def _type(given: Any) -> str:
    name = {"NoneType": "none", "list": "json", "dict": "json"}
    return name.get(type(given).__name__, type(given).__name__)


def project(record: ProjectRecord) -> dict[str, Any]:
    """Return a project with its counts."""
    return {
        "owner": record.owner,
        "name": record.name,
        "created_at": time_text(record.created_at),
        "permission": record.permission.name,
        "runs": record.run_count,
        "running": record.running_count,
        "last_run_at": time_text(record.last_run_at),
        "collaborators": record.collaborator_count,
    }


def artifact(record: ArtifactRecord) -> dict[str, Any]:
    """Return a file of a run."""
    return {
        "path": record.path,
        "size_bytes": record.size_bytes,
        "sha256": record.sha256,
        "created_at": time_text(record.created_at),
    }


def collaborator(record: Collaborator) -> dict[str, Any]:
    """Return a user with access."""
    return {
        "user": record.user,
        "permission": record.permission.name,
        "is_owner": record.is_owner,
        "added_at": time_text(record.added_at),
    }


def account(record: Account) -> dict[str, Any]:
    """Return a user of a server."""
    return {
        "user": record.user,
        "is_admin": record.is_admin,
        "created_at": time_text(record.created_at),
        "disabled_at": time_text(record.disabled_at),
    }


def api_key(record: ApiKey) -> dict[str, Any]:
    """Return what is known of a key, which is not the key itself."""
    return {
        "key_id": record.key_id,
        "user": record.user,
        "label": record.label,
        "state": key_state(record),
        "created_at": time_text(record.created_at),
        "expires_at": time_text(record.expires_at),
        "revoked_at": time_text(record.revoked_at),
        "last_used_at": time_text(record.last_used_at),
    }


def key_state(record: ApiKey) -> str:
    """Return whether a key is ``active``, ``expired`` or ``revoked``."""
    if record.revoked_at is not None:
        return "revoked"
    return "expired" if record.expires_at is not None and record.expires_at <= datetime.now(UTC) else "active"
