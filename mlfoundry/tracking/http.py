"""The backend on a server: every verb is one request, and every failure one of our errors.

All verbs may be tried again, and `connection` does so once when it breaks before the answer: runs and batches have
ids of their own, and the others say what shall be, not what to change.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from .. import slots
from ..errors import (
    BackendUnavailable,
    CollaboratorNotFound,
    InvalidInput,
    NotAuthenticated,
    RunNotFound,
    TooLarge,
    WrongHash,
    shown,
)
from ..names import is_run_id
from ..records import (
    Acknowledgement,
    ArtifactRecord,
    Batch,
    Collaborator,
    NewRun,
    Permission,
    ProjectRecord,
    RunChanges,
    RunKey,
    RunPage,
    RunQuery,
    RunRecord,
    Series,
    SeriesQuery,
)
from ..wire import frames, pages, records, requests
from ..wire.plain import Json
from . import transfers
from .connection import READ_S, Answer, Connection

if TYPE_CHECKING:
    from requests import Response

BEGIN_S = 10.0  # a run begins offline when its server has not answered by then
POINTS_AT_ONCE = 1_000_000

Read = TypeVar("Read")


class HttpBackend:
    """A `Backend` on a server.

    Args:
        uri: The server's address, ``https://…``.
        api_key: The caller's key.
        user: The caller's name, when it is known already; the server is asked for it otherwise.
        renewed: Asked for another key of the same user when the server does not take the one there is.

    Raises:
        NotAuthenticated: From any verb, when the server does not take the key.
        BackendUnavailable: From any verb, when the server cannot be reached or cannot answer now.
    """

    def __init__(
        self,
        uri: str,
        api_key: str,
        *,
        user: str | None = None,
        renewed: Callable[[], str | None] = lambda: None,
    ) -> None:
        self.uri = uri.rstrip("/")
        self._user = user
        self._connection = Connection(self.uri, api_key, renewed=renewed)
        self._part_bytes = transfers.PART_BYTES

    @property
    def may_forget(self) -> bool:
        """See `Backend`; a server answers when it is on its disk."""
        return False

    @property
    def user(self) -> str:
        """The name that the key belongs to."""
        if self._user is None:
            self._user = self._read(lambda told: str(told["user"]), self._json("GET", "/whoami"))
        return self._user

    @property
    def user_if_known(self) -> str | None:
        """The same without asking the server; None when it was not told so far."""
        return self._user

    @property
    def dashboard_address(self) -> str | None:
        """See `Backend`; a server is its own dashboard."""
        return self.uri

    def on_behalf_of(self, user: str) -> HttpBackend:
        """See `Backend`; what another user's process left waits for that user's key."""
        if user != self.user:
            raise NotAuthenticated(f"the journal is {user!r}'s; it waits until {user!r} uses {self.uri} from here")
        return self

    # -- runs ------------------------------------------------------------------------------------

    def create_run(self, new: NewRun) -> RunRecord:
        """See `Backend`; a server that is silent is not waited for as long as with the other verbs."""
        if self._connection.is_silent:
            raise BackendUnavailable(f"{self.uri} did not answer a moment ago")
        answer = self._send("POST", "/runs", json=requests.new_run_json(new), read_s=BEGIN_S)
        record = self._read(records.read_run, self._connection.json_of(answer))
        self._user = record.created_by
        return record

    def ingest(self, batch: Batch) -> Acknowledgement:
        """See `Backend`."""
        used = slots.numbers_in(batch.data) & batch.names.keys()
        body = frames.batch_frame(batch, {number: batch.names[number] for number in used})
        path = f"{_run(batch.run)}/journals/{batch.journal_id}"
        answer = self._send("POST", path, data=body, headers={"Content-Type": frames.BATCH_TYPE})
        told = self._read(records.read_acknowledgement, self._connection.json_of(answer))
        if told.acked < batch.stop:  # whoever said so did not store it
            raise BackendUnavailable(
                f"{self.uri} answers that it holds {told.acked} slots of the {batch.stop} it was sent"
            )
        return told

    def acked(self, run: RunKey, journal_id: int) -> int:
        """See `Backend`."""
        told = self._json("GET", f"{_run(run)}/journals/{journal_id}")
        return self._read(lambda told: int(told["acked"]), told)

    def get_run(self, run_id: str) -> RunRecord:
        """See `Backend`."""
        return self._read(records.read_run, self._json("GET", f"/runs/{_run_id(run_id)}"))

    def get_run_by_name(self, owner: str | None, project_name: str, run_name: str) -> RunRecord:
        """See `Backend`."""
        asked = {"owner": owner, "project": project_name, "run": run_name}
        return self._read(records.read_run, self._json("GET", "/runs", params=asked))

    def search_runs(self, query: RunQuery) -> RunPage:
        """See `Backend`."""
        path = f"/projects/{query.project_id}/runs/search"
        asked = {"Accept": f"{pages.RUNS_TYPE}, application/json;q=0.5"}
        answer = self._send("POST", path, json=requests.run_query_json(query), headers=asked)
        if answer.headers.get("Content-Type") == pages.RUNS_TYPE:
            return self._read(pages.read_page_frame, answer.content)
        return self._read(records.read_page, self._connection.json_of(answer))

    def update_run(self, run: RunKey, changes: RunChanges) -> RunRecord:
        """See `Backend`."""
        return self._read(records.read_run, self._json("PATCH", _run(run), requests.changes_json(changes)))

    def delete_run(self, run: RunKey) -> None:
        """See `Backend`."""
        self._send("DELETE", _run(run))

    def restore_run(self, run: RunKey) -> RunRecord:
        """See `Backend`."""
        return self._read(records.read_run, self._json("POST", f"{_run(run)}/restore"))

    def get_facts(self, run: RunKey) -> dict[str, str]:
        """See `Backend`."""
        return self._read(lambda told: dict(told["facts"]), self._json("GET", f"{_run(run)}/facts"))

    def read_series(self, query: SeriesQuery) -> list[Series]:
        """See `Backend`; what is more than one answer holds is asked for a stretch at a time."""
        try:
            return self._points(query)
        except TooLarge:
            if query.most is not None or (query.names is not None and len(query.names) == 1 and query.max_points):
                raise  # the caller has said how much is wanted
        names = query.names
        if names is None:
            firsts = self._points(replace(query, max_points=None, since={}, most=1))  # for their names
            names = tuple(each.name for each in firsts)
        if query.max_points is None:
            return [self._whole_series(query, name) for name in names]
        block = max(1, POINTS_AT_ONCE // query.max_points)
        return [
            series
            for start in range(0, len(names), block)
            for series in self._points(replace(query, names=names[start : start + block]))
        ]

    def _points(self, query: SeriesQuery) -> list[Series]:
        answer = self._send("POST", f"{_run(query.run)}/series", json=requests.series_query_json(query))
        return self._read(frames.read_points, answer.content)

    def _whole_series(self, query: SeriesQuery, name: str) -> Series:
        """Return a series of any length, which arrives in stretches."""
        from ..store import chunks

        at, parts = query.since.get(name, 0), []
        while True:
            part = self._points(replace(query, names=(name,), since={name: at}, most=POINTS_AT_ONCE))[0]
            parts.append((part.steps, part.times, part.values))
            at += len(part.steps)
            if at >= part.count or not len(part.steps):
                return Series(name, *chunks.in_order(chunks.join(parts)), part.count)

    # -- projects and people ---------------------------------------------------------------------

    def list_projects(self) -> list[ProjectRecord]:
        """See `Backend`."""
        return self._read(_each("projects", records.read_project), self._json("GET", "/projects"))

    def get_project(self, owner: str | None, name: str) -> ProjectRecord:
        """See `Backend`."""
        asked = {"owner": owner, "name": name}
        return self._read(records.read_project, self._json("GET", "/projects/named", params=asked))

    def delete_project(self, project_id: int) -> None:
        """See `Backend`."""
        self._send("DELETE", f"/projects/{project_id}")

    def list_keys(self, project_id: int, kind: str) -> list[str]:
        """See `Backend`."""
        told = self._json("GET", f"/projects/{project_id}/keys", params={"kind": kind})
        return self._read(lambda told: list(told["keys"]), told)

    def list_collaborators(self, project_id: int) -> list[Collaborator]:
        """See `Backend`."""
        told = self._json("GET", f"/projects/{project_id}/collaborators")
        return self._read(_each("collaborators", records.read_collaborator), told)

    def set_permission(self, project_id: int, user: str, permission: Permission, *, new: bool | None) -> None:
        """See `Backend`."""
        asked = {"user": user, "permission": permission.name, "new": new}
        try:
            self._json("PUT", f"/projects/{project_id}/collaborators", asked)
        except InvalidInput:
            if not (new and self._connection.was_again and self._holds(project_id, user, permission)):
                raise  # else the first try was done, and only its answer lost

    def _holds(self, project_id: int, user: str, permission: Permission) -> bool:
        people = self.list_collaborators(project_id)
        return any(person.user == user and person.permission is permission for person in people)

    def remove_collaborator(self, project_id: int, user: str) -> None:
        """See `Backend`."""
        try:
            self._send("DELETE", f"/projects/{project_id}/collaborators", params={"user": user})
        except CollaboratorNotFound:
            if not self._connection.was_again:
                raise  # else the first try was done, and only its answer lost

    # -- files -----------------------------------------------------------------------------------

    def put_artifact(self, run: RunKey, path: str, source: BinaryIO) -> ArtifactRecord:
        """See `Backend`; sent in parts, so that a broken connection costs one part."""
        try:
            return self._put_artifact(run, path, source)
        except WrongHash:  # the file changed meanwhile, or a part of it was there that is none: the server dropped it
            return self._put_artifact(run, path, source)

    def _put_artifact(self, run: RunKey, path: str, source: BinaryIO) -> ArtifactRecord:
        sha256, size = transfers.hash_of(source)
        place = f"{_run(run)}/blobs/{sha256}"

        def send_part(part: bytes, offset: int, longer_s: float) -> int:
            asked, headers = {"offset": offset, "size": size}, {"Content-Type": transfers.TYPE}
            answer = self._send("PUT", place, data=part, params=asked, headers=headers, read_s=READ_S + longer_s)
            return self._read(_offset, self._connection.json_of(answer))

        def held() -> int:
            return self._read(_offset, self._json("GET", place, params={"size": size}))

        asked = {"path": path, "sha256": sha256, "size_bytes": size}
        self._part_bytes = transfers.upload(source, size, held(), send_part, part_bytes=self._part_bytes)
        try:
            told = self._json("PUT", f"{_run(run)}/artifacts", asked)
        except InvalidInput:
            if (now := held()) == size:
                raise  # it is about the path
            # What nobody had named for long was swept away after we were told that it is there.
            transfers.upload(source, size, now, send_part, part_bytes=self._part_bytes)
            told = self._json("PUT", f"{_run(run)}/artifacts", asked)
        return self._read(records.read_artifact, told)

    def list_artifacts(self, run: RunKey) -> list[ArtifactRecord]:
        """See `Backend`."""
        return self._read(_each("artifacts", records.read_artifact), self._json("GET", f"{_run(run)}/artifacts"))

    def open_artifact(self, run: RunKey, path: str) -> BinaryIO:
        """See `Backend`; the bytes come as they are read, and again from where a connection broke."""

        def begin(start: int, version: str) -> Response:
            headers = {"Accept-Encoding": "identity"}
            if start:
                headers |= {"Range": f"bytes={start}-", "If-Range": version}
            return self._connection.open(f"{_run(run)}/artifacts/content", {"path": path}, headers)

        return transfers.Download(begin, self._connection.translated).file

    def end_unheard(self, kept: Collection[str]) -> int:  # noqa: ARG002  a server has a lease for that
        """See `Backend`."""
        return 0

    def close(self) -> None:
        """See `Backend`."""
        self._connection.close()

    # -- requests --------------------------------------------------------------------------------

    def ask(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        *,
        params: Json | None = None,
        is_repeatable: bool = True,
    ) -> Json:
        """Return what the server answers to a request that is no verb of `Backend`; see `people`."""
        answer = self._send(method, path, json=body, params=params, is_repeatable=is_repeatable)
        return self._connection.json_of(answer)

    def tell(self, method: str, path: str, body: Json) -> None:
        """Send a request that has no answer but that it was done."""
        self._send(method, path, json=body)

    def _json(self, method: str, path: str, body: Json | None = None, *, params: Json | None = None) -> Json:
        return self._connection.json_of(self._send(method, path, json=body, params=params))

    def _send(self, method: str, path: str, **given: Any) -> Answer:
        return self._connection.send(method, path, **given)

    def _read(self, read: Callable[[Any], Read], told: Any) -> Read:
        """Return what an answer says."""
        try:
            return read(told)
        except (InvalidInput, LookupError, TypeError, ValueError, ArithmeticError) as error:
            raise BackendUnavailable(
                f"the answer of {self.uri} is not understood ({error}); is it the address of an MLFoundry server, and "
                "of a version like this one?"
            ) from error


def _run(run: RunKey) -> str:
    return f"/projects/{run.project_id}/runs/{_run_id(run.run_id)}"


def _run_id(run_id: str) -> str:
    if not is_run_id(run_id):  # in a path it could lead elsewhere
        raise RunNotFound(f"there is no run {shown(run_id)}: a run's id has 32 hex digits (0-9, a-f)")
    return run_id


def _each(name: str, read: Callable[[Json], Read]) -> Callable[[Json], list[Read]]:
    return lambda told: [read(each) for each in told[name]]


def _offset(told: Json) -> int:
    return int(told["offset"])
