"""The way to one server with one key: requests, their answers, and what to make of those that are none.

Connections are kept alive, one a thread and process. Redirects are not followed, because the key would go with them. An
answer that cannot be understood is taken as none: hotels, proxies and other servers answer as well.
"""

from __future__ import annotations

import email.utils
import os
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from json import dumps
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from ..errors import BackendUnavailable, InvalidInput, MlfoundryError, quoted, shown
from ..json_texts import read_json
from ..wire import errors as wire_errors
from ..wire.frames import ANSWER_LIMIT_BYTES
from ..wire.plain import Json

if TYPE_CHECKING:
    from requests import PreparedRequest, Response, Session

CONNECT_S = 5.0
READ_S = 30.0
BLOCK_BYTES = 1 << 16
WHOLE_S = 120.0  # how long an answer may take from its first byte to its last
SILENT_S = 30.0  # how long a server that did not answer counts as silent, unless it is heard of
RETRY_AFTER_LIMIT_S = 3600.0


class Connection:
    """The way to one server. Threads may use it at once.

    Args:
        uri: The server's address, without a slash at the end.
        api_key: The key that is shown.
        renewed: Asked for another key when the server does not take the one there is.
    """

    def __init__(self, uri: str, api_key: str, *, renewed: Callable[[], str | None]) -> None:
        self._uri = uri
        self._api_key = api_key
        self._renewed = renewed
        self._silent_until = 0.0
        self._encoded: str | None = None
        self._own = threading.local()

    @property
    def is_silent(self) -> bool:
        """Whether the server did not answer in time a moment ago, and was not heard of since."""
        return time.monotonic() < self._silent_until

    @property
    def was_again(self) -> bool:
        """Whether this thread's last request was sent twice, because the connection broke before the answer."""
        return bool(getattr(self._own, "was_again", False))

    def close(self) -> None:
        """Close this thread's connection; a later use opens one again."""
        session = getattr(self._own, "session", None)
        if session is not None and self._own.pid == os.getpid():
            session.close()
        vars(self._own).clear()  # what other threads have of it is theirs

    def open(self, path: str, params: Json, headers: dict[str, str]) -> Response:
        """Return an answer whose body, which may be large, was not read; whoever asked closes it."""
        answer = self._request("GET", path, params=params, headers=headers)
        if answer.status_code not in (200, 206):
            self._refused(self._whole(answer))
        return answer

    def json_of(self, answer: Answer) -> Json:
        """Return the JSON object that an answer holds."""
        told = answer.json()
        if not isinstance(told, dict):
            raise BackendUnavailable(
                f"the answer of {self._uri} is no JSON object; is it the address of an MLFoundry server?"
            )
        return told

    def send(self, method: str, path: str, **given: Any) -> Answer:
        """Send a request and return its answer when that is a good one; try once more with a key that is new."""
        answer = self._whole(self._request(method, path, **given))
        if answer.status_code == 401 and (renewed := self._other_key()) is not None:
            self._api_key = renewed
            answer = self._whole(self._request(method, path, **given))
        if not 200 <= answer.status_code < 300:
            self._refused(answer)
        return answer

    def _other_key(self) -> str | None:
        try:
            renewed = self._renewed()
        except MlfoundryError:  # where it is kept cannot be read just now
            return None
        return renewed if renewed != self._api_key else None

    def _request(
        self,
        method: str,
        path: str,
        *,
        headers: dict[str, str] | None = None,
        read_s: float = READ_S,
        is_repeatable: bool = True,
        **given: Any,
    ) -> Response:
        """Send a request, and once more when the connection broke before anything of the answer came.

        A kept-alive connection that the server closed meanwhile is found out by using it. What must not be done twice
        goes on a new connection, and once.
        """
        if not is_repeatable:
            self.close()
        self._own.was_again = False
        with self.translated():
            while True:
                request = _request(self._base(), method, path, headers or {}, **given)
                request.headers["Authorization"] = f"Bearer {self._api_key}"
                try:
                    return self._session().send(
                        request, timeout=(CONNECT_S, read_s), allow_redirects=False, stream=True
                    )
                except OSError as error:  # that of requests is one
                    if self._own.was_again or not is_repeatable or not _is_broken(error):
                        raise
                    self._own.was_again = True

    def _whole(self, answer: Response) -> Answer:
        """Return an answer with all of its body, which may come slowly, but not for ever."""
        blocks: list[bytes] = []
        size_bytes, deadline = 0, time.monotonic() + WHOLE_S
        with self.translated(), closing(answer):
            for block in _unpacked(answer):
                blocks.append(block)
                size_bytes += len(block)
                if size_bytes > ANSWER_LIMIT_BYTES:
                    blocks.clear()  # whoever keeps the error keeps this frame
                    raise BackendUnavailable(
                        f"the answer of {self._uri} is longer than {ANSWER_LIMIT_BYTES:,} bytes; is it the address of "
                        "an MLFoundry server?"
                    )
                if time.monotonic() > deadline:
                    raise TimeoutError(f"the answer was not whole after {WHOLE_S:g} s")
        self._silent_until = 0.0
        return Answer(answer.status_code, answer.headers, b"".join(blocks))

    def _refused(self, answer: Answer) -> None:
        if 300 <= answer.status_code < 400:
            where = quoted(answer.headers.get("Location", "somewhere else"))
            raise BackendUnavailable(
                f"{self._uri} redirects to {where}, which is not followed "
                "because the key would go with it. Use the address that the server has."
            )
        raise wire_errors.read_error(answer.status_code, answer.json(), _retry_after(answer))

    def _base(self) -> str:
        """Return the address below which all paths are, as it is sent: checked and encoded once."""
        if self._encoded is None:
            from requests import PreparedRequest

            address = PreparedRequest()
            address.prepare_url(f"{self._uri}/api/v1", None)
            self._encoded = str(address.url)
        return self._encoded

    def _session(self) -> Session:
        """Return this thread's session; one of another process is left to it."""
        if getattr(self._own, "pid", None) != os.getpid():
            self._own.session, self._own.pid = _new_session(self._uri), os.getpid()
        return self._own.session  # type: ignore[no-any-return]

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn the failures of reading an answer into our errors."""
        import requests as http
        from urllib3.exceptions import HTTPError

        try:
            yield
        except http.exceptions.InvalidURL as error:
            raise InvalidInput(f"{self._uri!r} is no address of a server ({error})") from error
        except http.exceptions.SSLError as error:
            if not _speaks_tls(error):
                plain = self._uri.replace("https://", "http://", 1)
                raise BackendUnavailable(
                    f"what answers at {self._uri} does not speak https://. If that is the server, its address is "
                    f"{plain}; what goes there can be read on its way, so have it behind TLS where others reach it."
                ) from error
            raise BackendUnavailable(f"{self._uri} has no certificate that this machine trusts ({error})") from error
        except (http.exceptions.RequestException, HTTPError, OSError, zlib.error) as error:
            if isinstance(error, (http.exceptions.Timeout, TimeoutError)):
                self._silent_until = time.monotonic() + SILENT_S
            raise BackendUnavailable(f"{self._uri} cannot be reached now ({_reason(error)})") from error


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of a server, whole."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes

    def json(self) -> Any:
        """Return what its JSON says, None when it is none."""
        try:
            return read_json(self.content)
        except ValueError:
            return None


def _request(
    base: str,
    method: str,
    path: str,
    headers: Mapping[str, str],
    *,
    params: Json | None = None,
    json: Json | None = None,
    data: bytes | None = None,
) -> PreparedRequest:
    """Return a request as it is sent; to have the session make it takes several times as long."""
    from requests import PreparedRequest
    from requests.utils import default_headers

    request, given = PreparedRequest(), {name: value for name, value in (params or {}).items() if value is not None}
    request.method = method
    request.url = f"{base}{path}?{urlencode(given)}" if given else f"{base}{path}"
    request.headers = default_headers()
    request.headers.update(headers)
    if json is not None:
        data = dumps(json, allow_nan=False).encode()
        request.headers["Content-Type"] = "application/json"
    if data is not None or method not in ("GET", "HEAD"):
        request.headers["Content-Length"] = str(len(data or b""))
    request.body = data
    request.prepare_hooks({})
    return request


def _unpacked(answer: Response) -> Iterator[bytes]:
    """Return the body of an answer as it comes, in blocks of a bounded size, whatever a few bytes would unpack to."""
    encoding = answer.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("identity", "", "gzip"):
        raise OSError(f"the answer is packed as {shown(encoding)}, which was not asked for")
    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS) if encoding == "gzip" else None
    while block := answer.raw.read1(BLOCK_BYTES, decode_content=False):
        if unpacker is None:
            yield block
            continue
        while block:
            yield unpacker.decompress(block, BLOCK_BYTES)
            block = unpacker.unconsumed_tail
    if unpacker is not None:
        yield unpacker.flush()
        if not unpacker.eof:
            raise OSError("the answer broke off")


def _new_session(uri: str) -> Session:
    import requests as http
    from requests.adapters import HTTPAdapter
    from urllib3.connection import HTTPConnection

    class Adapter(HTTPAdapter):
        """One connection, which finds out within seconds that the other machine is gone."""

        def init_poolmanager(self, *words: Any, **given: Any) -> None:
            options = [*HTTPConnection.default_socket_options, (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
            for name, value in (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
                if hasattr(socket, name):
                    options.append((socket.IPPROTO_TCP, getattr(socket, name), value))
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                options.append((socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 20_000))
            super().init_poolmanager(*words, socket_options=options, **given)

    session = http.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, Adapter(pool_connections=1, pool_maxsize=1, max_retries=0))
    # What the environment says of proxies and certificates, asked once: it takes as long as to send a request.
    found = session.merge_environment_settings(uri, {}, None, None, None)
    session.proxies, session.verify, session.cert = dict(found["proxies"]), found["verify"], found["cert"]
    session.trust_env = False
    session.headers["Accept-Encoding"] = "gzip"  # what `_unpacked` unpacks
    return session


def _speaks_tls(error: OSError) -> bool:
    """Return whether a failure of TLS came from somebody who speaks it; OpenSSL's names of the other case differ."""
    return not any(each in str(error) for each in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"))


def _is_broken(error: OSError) -> bool:
    """Return whether a connection broke: it could be made, and did not only take too long."""
    from urllib3.exceptions import ProtocolError

    return bool(error.args) and isinstance(error.args[0], ProtocolError)


def _retry_after(answer: Answer) -> float | None:
    """Return for how many seconds to wait; HTTP gives them, or the date when they are over."""
    text = answer.headers.get("Retry-After", "")
    try:
        asked_s = float(text)
    except ValueError:
        try:
            asked_s = email.utils.parsedate_to_datetime(text).timestamp() - time.time()
        except (TypeError, ValueError, OverflowError):
            return None
    return min(RETRY_AFTER_LIMIT_S, max(0.0, asked_s)) if asked_s == asked_s else None


def _reason(error: BaseException) -> str:
    """Return the innermost cause, which says more than the library's wrapping of it."""
    while error.__context__ is not None:
        error = error.__context__
    return f"{type(error).__name__}: {error}"
