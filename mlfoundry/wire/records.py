"""What a server answers with: projects, people, runs and files as JSON."""

from __future__ import annotations

from typing import Any

from ..records import (
    Acknowledgement,
    ArtifactRecord,
    Collaborator,
    MetricSummary,
    Permission,
    ProjectRecord,
    RunKey,
    RunPage,
    RunRecord,
    RunStatus,
)
from ..values import param_text, param_value, utc
from .plain import Json, microseconds, number_json, read_number, read_time, reading, text, whole

_STATUS = {status.value: status for status in RunStatus}


def project_json(project: ProjectRecord) -> Json:
    """Return a project as JSON."""
    return {
        "project_id": project.project_id,
        "owner": project.owner,
        "name": project.name,
        "created_at": microseconds(project.created_at),
        "permission": project.permission.name,
        "run_count": project.run_count,
        "running_count": project.running_count,
        "last_run_at": microseconds(project.last_run_at),
        "collaborator_count": project.collaborator_count,
    }


def read_project(told: Json) -> ProjectRecord:
    """Return a project from JSON."""
    with reading("project"):
        return ProjectRecord(
            project_id=int(told["project_id"]),
            owner=told["owner"],
            name=told["name"],
            created_at=utc(told["created_at"]),
            permission=Permission[told["permission"]],
            run_count=int(told["run_count"]),
            running_count=int(told["running_count"]),
            last_run_at=read_time(told["last_run_at"]),
            collaborator_count=int(told["collaborator_count"]),
        )


def collaborator_json(person: Collaborator) -> Json:
    """Return a collaborator as JSON."""
    return {
        "user": person.user,
        "permission": person.permission.name,
        "is_owner": person.is_owner,
        "added_at": microseconds(person.added_at),
    }


def read_collaborator(told: Json) -> Collaborator:
    """Return a collaborator from JSON."""
    with reading("collaborator"):
        return Collaborator(told["user"], Permission[told["permission"]], bool(told["is_owner"]), utc(told["added_at"]))


def run_json(run: RunRecord) -> Json:
    """Return a run as JSON."""
    return {
        "project_id": run.key.project_id,
        "run_id": run.key.run_id,
        "owner": run.owner,
        "project_name": run.project_name,
        "run_name": run.run_name,
        "status": run.status.value,
        "created_by": run.created_by,
        "started_at": microseconds(run.started_at),
        "ended_at": microseconds(run.ended_at),
        "last_seen_at": microseconds(run.last_seen_at),
        "description": run.description,
        "error": run.error,
        "deleted_at": microseconds(run.deleted_at),
        "params": {name: param_text(name, value) for name, value in run.params.items()},
        "tags": dict(run.tags),
        "metrics": {name: _summary_json(summary) for name, summary in run.metrics.items()},
    }


def read_run(told: Json) -> RunRecord:
    """Return a run from JSON."""
    with reading("run"):
        return RunRecord(
            key=RunKey(int(told["project_id"]), told["run_id"]),
            owner=told["owner"],
            project_name=told["project_name"],
            run_name=told["run_name"],
            status=_STATUS[told["status"]],
            created_by=told["created_by"],
            started_at=utc(told["started_at"]),
            ended_at=read_time(told["ended_at"]),
            last_seen_at=utc(told["last_seen_at"]),
            description=told["description"],
            error=told["error"],
            deleted_at=read_time(told["deleted_at"]),
            params={name: param_value(kind, text) for name, (kind, text) in told["params"].items()},
            tags=told["tags"],
            metrics={name: _read_summary(summary) for name, summary in told["metrics"].items()},
        )


def _summary_json(summary: MetricSummary) -> list[Any]:
    values = [number_json(value) for value in (summary.last, summary.min, summary.max)]
    return [summary.count, summary.last_step, microseconds(summary.last_at), *values]


def _read_summary(told: list[Any]) -> MetricSummary:
    count, last_step, last_at, last, least, greatest = told
    return MetricSummary(count, read_number(last), last_step, utc(last_at), read_number(least), read_number(greatest))


def page_json(page: RunPage) -> Json:
    """Return a page of runs as JSON."""
    return {"runs": [run_json(run) for run in page.runs], "next_cursor": page.next_cursor, "hints": page.hints}


def read_page(told: Json) -> RunPage:
    """Return a page of runs from JSON."""
    with reading("page of runs"):
        return RunPage(tuple(read_run(run) for run in told["runs"]), told["next_cursor"], tuple(told["hints"]))


def artifact_json(artifact: ArtifactRecord) -> Json:
    """Return a file of a run as JSON."""
    return {
        "path": artifact.path,
        "size_bytes": artifact.size_bytes,
        "sha256": artifact.sha256,
        "created_at": microseconds(artifact.created_at),
    }


def read_artifact(told: Json) -> ArtifactRecord:
    """Return a file of a run from JSON."""
    with reading("artifact"):
        path, sha256 = text("path", told["path"]), text("sha256", told["sha256"])
        return ArtifactRecord(path, int(told["size_bytes"]), sha256, utc(told["created_at"]))


def acknowledgement_json(answer: Acknowledgement) -> Json:
    """Return an acknowledgement as JSON."""
    told: Json = {"acked": answer.acked, "settled": answer.settled}
    return {**told, "kept": list(answer.kept)} if answer.kept else told


def read_acknowledgement(told: Json) -> Acknowledgement:
    """Return an acknowledgement from JSON."""
    with reading("acknowledgement"):
        kept = tuple(str(name) for name in told.get("kept", ()))
        return Acknowledgement(whole("acked", told), whole("settled", told), kept)
