"""The backend on a server: every verb is one request, and every failure one of our errors.

Sessions are kept alive, one a thread and process. Redirects are not followed, because the key would go with them.
All verbs may be tried again: runs and batches have ids of their own, and the others say what shall be, not what to
change.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

from .. import slots
from ..errors import BackendUnavailable, InvalidInput, RunNotFound, shown
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
from ..wire import errors as wire_errors
from ..wire import frames, records, requests
from ..wire.plain import Json
from . import transfers

if TYPE_CHECKING:
    from requests import PreparedRequest, Response, Session

CONNECT_S = 5.0
READ_S = 30.0


class HttpBackend:
    """A `Backend` on a server.

    Args:
        uri: The server's address, ``https://…``.
        api_key: The caller's key.
        user: The caller's name, when it is known already; the server is asked for it otherwise.

    Raises:
        NotAuthenticated: From any verb, when the server does not take the key.
        BackendUnavailable: From any verb, when the server cannot be reached or cannot answer now.
    """

    def __init__(self, uri: str, api_key: str, *, user: str | None = None) -> None:
        self.uri = uri.rstrip("/")
        self._api_key = api_key
        self._user = user
        self._own = threading.local()

    @property
    def user(self) -> str:
        """The name that the key belongs to."""
        if self._user is None:
            self._user = str(self._json("GET", "/whoami")["user"])
        return self._user

    @property
    def user_if_known(self) -> str | None:
        """The same without asking the server; None when it was not told so far."""
        return self._user

    def on_behalf_of(self, user: str) -> HttpBackend:
        """See `Backend`; what another user's process left waits for that user's key."""
        if user != self.user:
            raise BackendUnavailable(f"the journal is {user!r}'s; it waits until {user!r} uses {self.uri} from here")
        return self

    # -- runs ------------------------------------------------------------------------------------

    def create_run(self, new: NewRun) -> RunRecord:
        """See `Backend`."""
        record = records.read_run(self._json("POST", "/runs", requests.new_run_json(new)))
        self._user = record.created_by
        return record

    def ingest(self, batch: Batch) -> Acknowledgement:
        """See `Backend`."""
        used = slots.numbers_in(batch.data) & batch.names.keys()
        body = frames.batch_frame(batch, {number: batch.names[number] for number in used})
        path = f"{_run(batch.run)}/journals/{batch.journal_id}"
        answer = self._send("POST", path, data=body, headers={"Content-Type": frames.BATCH_TYPE})
        return records.read_acknowledgement(_json_of(answer))

    def acked(self, run: RunKey, journal_id: int) -> int:
        """See `Backend`."""
        return int(self._json("GET", f"{_run(run)}/journals/{journal_id}")["acked"])

    def get_run(self, run_id: str) -> RunRecord:
        """See `Backend`."""
        return records.read_run(self._json("GET", f"/runs/{_run_id(run_id)}"))

    def get_run_by_name(self, owner: str | None, project_name: str, run_name: str) -> RunRecord:
        """See `Backend`."""
        asked = {"owner": owner, "project": project_name, "run": run_name}
        return records.read_run(self._json("GET", "/runs", params=asked))

    def search_runs(self, query: RunQuery) -> RunPage:
        """See `Backend`."""
        path = f"/projects/{query.project_id}/runs/search"
        return records.read_page(self._json("POST", path, requests.run_query_json(query)))

    def update_run(self, run: RunKey, changes: RunChanges) -> RunRecord:
        """See `Backend`."""
        return records.read_run(self._json("PATCH", _run(run), requests.changes_json(changes)))

    def delete_run(self, run: RunKey) -> None:
        """See `Backend`."""
        self._send("DELETE", _run(run))

    def restore_run(self, run: RunKey) -> RunRecord:
        """See `Backend`."""
        return records.read_run(self._json("POST", f"{_run(run)}/restore"))

    def get_facts(self, run: RunKey) -> dict[str, str]:
        """See `Backend`."""
        return dict(self._json("GET", f"{_run(run)}/facts")["facts"])

    def read_series(self, query: SeriesQuery) -> list[Series]:
        """See `Backend`."""
        answer = self._send("POST", f"{_run(query.run)}/series", json=requests.series_query_json(query))
        return frames.read_points(answer.content)

    # -- projects and people ---------------------------------------------------------------------

    def list_projects(self) -> list[ProjectRecord]:
        """See `Backend`."""
        return [records.read_project(told) for told in self._json("GET", "/projects")["projects"]]

    def get_project(self, owner: str | None, name: str) -> ProjectRecord:
        """See `Backend`."""
        asked = {"owner": owner, "name": name}
        return records.read_project(self._json("GET", "/projects/named", params=asked))

    def delete_project(self, project_id: int) -> None:
        """See `Backend`."""
        self._send("DELETE", f"/projects/{project_id}")

    def list_keys(self, project_id: int, kind: str) -> list[str]:
        """See `Backend`."""
        return list(self._json("GET", f"/projects/{project_id}/keys", params={"kind": kind})["keys"])

    def list_collaborators(self, project_id: int) -> list[Collaborator]:
        """See `Backend`."""
        told = self._json("GET", f"/projects/{project_id}/collaborators")
        return [records.read_collaborator(person) for person in told["collaborators"]]

    def set_permission(self, project_id: int, user: str, permission: Permission, *, new: bool | None) -> None:
        """See `Backend`."""
        asked = {"user": user, "permission": permission.name, "new": new}
        self._json("PUT", f"/projects/{project_id}/collaborators", asked)

    def remove_collaborator(self, project_id: int, user: str) -> None:
        """See `Backend`."""
        self._send("DELETE", f"/projects/{project_id}/collaborators", params={"user": user})

    # -- files -----------------------------------------------------------------------------------

    def put_artifact(self, run: RunKey, path: str, source: BinaryIO) -> ArtifactRecord:
        """See `Backend`; sent in parts, so that a broken connection costs one part."""
        sha256, size = transfers.hash_of(source)
        place = f"{_run(run)}/blobs/{sha256}"

        def send_part(part: bytes, offset: int, longer_s: float) -> int:
            asked, headers = {"offset": offset, "size": size}, {"Content-Type": transfers.TYPE}
            answer = self._send("PUT", place, data=part, params=asked, headers=headers, read_s=READ_S + longer_s)
            return int(_json_of(answer)["offset"])

        held = int(self._json("GET", place, params={"size": size})["offset"])
        transfers.upload(source, size, held, send_part)
        asked = {"path": path, "sha256": sha256, "size_bytes": size}
        return records.read_artifact(self._json("PUT", f"{_run(run)}/artifacts", asked))

    def list_artifacts(self, run: RunKey) -> list[ArtifactRecord]:
        """See `Backend`."""
        return [records.read_artifact(told) for told in self._json("GET", f"{_run(run)}/artifacts")["artifacts"]]

    def open_artifact(self, run: RunKey, path: str) -> BinaryIO:
        """See `Backend`; the bytes come as they are read, and again from where a connection broke."""

        def begin(start: int, version: str) -> Response:
            headers = {"Accept-Encoding": "identity"}
            if start:
                headers |= {"Range": f"bytes={start}-", "If-Range": version}
            place = f"{_run(run)}/artifacts/content"
            return self._send("GET", place, params={"path": path}, headers=headers, stream=True)

        return transfers.Download(begin, lambda: _translated(self.uri)).file

    def close(self) -> None:
        """See `Backend`."""
        session = getattr(self._own, "session", None)
        if session is not None and self._own.pid == os.getpid():
            session.close()
        self._own = threading.local()

    # -- requests --------------------------------------------------------------------------------

    def ask(self, method: str, path: str, body: Json | None = None, *, params: Json | None = None) -> Json:
        """Return what the server answers to a request that is no verb of `Backend`; see `people`."""
        return self._json(method, path, body, params=params)

    def tell(self, method: str, path: str, body: Json) -> None:
        """Send a request that has no answer but that it was done."""
        self._send(method, path, json=body)

    def _json(self, method: str, path: str, body: Json | None = None, *, params: Json | None = None) -> Json:
        return _json_of(self._send(method, path, json=body, params=params))

    def _send(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, read_s: float = READ_S, **given: Any
    ) -> Response:
        with _translated(self.uri):
            answer = self._session().request(
                method,
                f"{self.uri}/api/v1{path}",
                headers=headers,
                timeout=(CONNECT_S, read_s),
                allow_redirects=False,
                auth=self._sign,
                **given,
            )
        if 200 <= answer.status_code < 300:
            return answer
        if 300 <= answer.status_code < 400:
            raise BackendUnavailable(
                f"{self.uri} redirects to {answer.headers.get('Location', 'somewhere else')!r}, which is not followed "
                "because the key would go with it. Use the address that the server has."
            )
        raise wire_errors.read_error(answer.status_code, _told(answer), _retry_after(answer))

    def _sign(self, request: PreparedRequest) -> PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._api_key}"
        return request

    def _session(self) -> Session:
        """Return this thread's session; one of another process is left to it."""
        if getattr(self._own, "pid", None) != os.getpid():
            import requests as http
            from requests.adapters import HTTPAdapter
            from urllib3.util import Retry

            session = http.Session()
            # A kept-alive connection that the server closed meanwhile is found out by using it.
            again = Retry(total=1, connect=0, read=1, status=0, redirect=0, allowed_methods=None)
            for scheme in ("http://", "https://"):
                session.mount(scheme, HTTPAdapter(pool_connections=1, pool_maxsize=1, max_retries=again))
            self._own.session, self._own.pid = session, os.getpid()
        return self._own.session  # type: ignore[no-any-return]


def _run(run: RunKey) -> str:
    return f"/projects/{run.project_id}/runs/{_run_id(run.run_id)}"


def _run_id(run_id: str) -> str:
    if not is_run_id(run_id):  # in a path it could lead elsewhere
        raise RunNotFound(f"there is no run {shown(run_id)}: a run's id has 32 hex digits (0-9, a-f)")
    return run_id


def _json_of(answer: Response) -> Json:
    told = _told(answer)
    if not isinstance(told, dict):
        raise BackendUnavailable("the server's answer is no JSON object; is the address that of an MLFoundry server?")
    return told


def _told(answer: Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return None


def _retry_after(answer: Response) -> float | None:
    try:
        return min(3600.0, max(0.0, float(answer.headers["Retry-After"])))
    except (KeyError, ValueError):
        return None


@contextmanager
def _translated(uri: str) -> Iterator[None]:
    import requests as http
    from urllib3.exceptions import HTTPError

    try:
        yield
    except http.exceptions.InvalidURL as error:
        raise InvalidInput(f"{uri!r} is no address of a server ({error})") from error
    except http.exceptions.SSLError as error:
        raise BackendUnavailable(f"{uri} has no certificate that this machine trusts ({error})") from error
    except (http.exceptions.RequestException, HTTPError, OSError) as error:
        raise BackendUnavailable(f"{uri} cannot be reached now ({_reason(error)})") from error


def _reason(error: BaseException) -> str:
    """Return the innermost cause, which says more than the library's wrapping of it."""
    while error.__context__ is not None:
        error = error.__context__
    return f"{type(error).__name__}: {error}"
