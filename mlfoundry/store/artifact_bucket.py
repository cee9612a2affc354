"""Bytes of files in an object store that speaks S3: ``<prefix>/<project id>/<2 hex>/<sha256>``.

Where it is and who we are there comes from the environment, as in every client of S3: ``AWS_ENDPOINT_URL``,
``AWS_REGION``, ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``, ``AWS_SESSION_TOKEN``, or the role of the machine.

The parts of an upload are objects of their own below ``<project id>/parts/<sha256>-<size>/``, named by where they end
and begin, so that any server goes on with what another began. A part is taken where it begins at 0 or where another
ends: so each that is there leads back to 0. When the last has come they are read once, hashed and written as one
object; the last block is held back until the hash is right, and an upload that does not end is never an object.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import re
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, BinaryIO, cast

from ..errors import BackendUnavailable, InvalidSetting, MissingExtra, WrongHash, shown
from .parts import PART_LIFE_S, check, check_part, wrong_hash

if TYPE_CHECKING:
    from obstore import GetOptions, ObjectMeta
    from obstore.store import S3Store

BLOCK_BYTES = 1 << 20
CHUNK_BYTES = 8 << 20
CHUNKS_AT_ONCE = 2
CHUNK_COUNT_LIMIT = 10_000  # of S3: no object has more parts
_PLACE = re.compile(r"s3://([A-Za-z0-9][A-Za-z0-9._-]{1,62})((?:/[A-Za-z0-9!_.*'()=+@-]+)*)/?")
_log = logging.getLogger("mlfoundry.store")


def open_bucket(place: str) -> ArtifactBucket:
    """Return the place for files that ``s3://bucket/prefix`` means; nothing is asked of it yet.

    Raises:
        InvalidSetting: It is no such text.
        MissingExtra: The package obstore is not installed.
    """
    found = _PLACE.fullmatch(place)
    if found is None or any(part in (".", "..") for part in found[2].split("/")):
        raise InvalidSetting(f"{shown(place)} is no place for artifacts; give s3://bucket or s3://bucket/prefix")
    try:
        from obstore.store import S3Store
    except ImportError as error:
        raise MissingExtra("mlfoundry[s3]", "keeping artifacts in an object store") from error
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    store = S3Store(
        found[1],
        prefix=found[2].strip("/") or None,
        client_options={"allow_http": endpoint.startswith("http://"), "connect_timeout": "5s", "timeout": "60s"},
        retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=20)},
    )
    return ArtifactBucket(store, place)


class ArtifactBucket:
    """An `ArtifactStore` in an object store.

    Args:
        store: The bucket below its prefix.
        place: What people call it, for messages.
    """

    def __init__(self, store: S3Store, place: str) -> None:
        self._store = store
        self._place = place

    def put(self, project_id: int, source: BinaryIO) -> tuple[str, int]:
        """See `ArtifactStore`; a source is read twice, since its hash is its name."""
        with tempfile.TemporaryFile() as spool:
            if not source.seekable():
                while block := source.read(BLOCK_BYTES):
                    spool.write(block)
                spool.seek(0)
                source = cast(BinaryIO, spool)
            start, digest, size = source.tell(), hashlib.sha256(), 0
            for block in iter(lambda: source.read(BLOCK_BYTES), b""):
                digest.update(block)
                size += len(block)
            sha256 = digest.hexdigest()
            if not self.is_whole(project_id, sha256, size):
                source.seek(start)
                self._write(project_id, sha256, size, iter(lambda: source.read(BLOCK_BYTES), b""))
        return sha256, size

    def open(self, project_id: int, sha256: str, start: int = 0) -> BinaryIO:
        """See `ArtifactStore`; the bytes come as they are read."""
        import obstore

        with self._telling():
            if start and start >= obstore.head(self._store, _key(project_id, sha256))["size"]:
                return io.BytesIO()  # S3 refuses a range that begins at the end
            options: GetOptions = {"range": {"offset": start}} if start else {}  # of nothing S3 gives no range either
            found = obstore.get(self._store, _key(project_id, sha256), options=options)
            stream = found.stream(min_chunk_size=BLOCK_BYTES)
        return cast(BinaryIO, io.BufferedReader(_Stream(self, iter(stream)), BLOCK_BYTES))

    def is_whole(self, project_id: int, sha256: str, size: int) -> bool:
        """See `ArtifactStore`."""
        import obstore

        check(sha256, size)
        with self._telling():
            try:
                return obstore.head(self._store, _key(project_id, sha256))["size"] == size
            except FileNotFoundError:
                return False

    def held(self, project_id: int, sha256: str, size: int) -> int:
        """See `ArtifactStore`; an upload that nobody goes on with is forgotten after a week."""
        if self.is_whole(project_id, sha256, size):
            return size
        chain = self._chain(project_id, sha256, size)
        if not chain:
            self._forget_old_parts(project_id)
            return 0
        # Of bytes that all came and were not finished, the last part is asked for again, which finishes them.
        start, end = chain[-1]
        return start if end == size else end

    def add(self, project_id: int, sha256: str, size: int, offset: int, part: bytes) -> int:
        """See `ArtifactStore`."""
        import obstore

        check_part(sha256, size, offset, len(part))
        if self.is_whole(project_id, sha256, size):
            return size
        end, folder = offset + len(part), _parts(project_id, sha256, size)
        with self._telling():
            follows = not offset or any(start < offset for start, _ in self._parts_at(folder, offset))
            if not follows:
                return self.held(project_id, sha256, size)
            if part:
                obstore.put(self._store, f"{folder}/{end:016d}/{offset:016d}", part, use_multipart=False)
        if end == size:
            self._finish(project_id, sha256, size)
        return end

    def drop_project(self, project_id: int) -> None:
        """See `ArtifactStore`."""
        with self._telling():
            self._delete(str(project_id))

    def projects(self) -> list[int]:
        """See `ArtifactStore`."""
        import obstore

        with self._telling():
            folders = [each.rsplit("/", 1)[-1] for each in obstore.list_with_delimiter(self._store)["common_prefixes"]]
        return sorted(int(name) for name in folders if name.isdecimal())

    def written_before(self, project_id: int, at_s: float) -> dict[str, int]:
        """See `ArtifactStore`."""
        self._forget_old_parts(project_id)
        before = datetime.fromtimestamp(at_s, UTC)
        with self._telling():
            return {
                meta["path"].rsplit("/", 1)[-1]: meta["size"]
                for meta in self._list(str(project_id))
                if meta["last_modified"] < before and "/parts/" not in f"/{meta['path']}"
            }

    def remove(self, project_id: int, sha256: str) -> None:
        """See `ArtifactStore`."""
        import obstore

        with self._telling(), suppress(FileNotFoundError):
            obstore.delete(self._store, _key(project_id, sha256))

    # -- parts -----------------------------------------------------------------------------------

    def _parts_at(self, folder: str, end: int | None = None) -> list[tuple[int, int]]:
        """Return (begin, end) of the parts of an upload, or of those that end at one place."""
        below = folder if end is None else f"{folder}/{end:016d}"
        found = [meta["path"].rsplit("/", 2)[-2:] for meta in self._list(below)]
        return [(int(begin), int(end)) for end, begin in found]

    def _chain(self, project_id: int, sha256: str, size: int) -> list[tuple[int, int]]:
        """Return the parts that lead from 0 to the farthest place without a gap."""
        with self._telling():
            begins = dict(sorted((end, begin) for begin, end in self._parts_at(_parts(project_id, sha256, size))))
        for last in sorted(begins, reverse=True):
            chain, at = [], last
            while at and at in begins:
                chain.append((begins[at], at))
                at = begins[at]
            if not at:
                return chain[::-1]
        return []

    def _finish(self, project_id: int, sha256: str, size: int) -> None:
        folder = _parts(project_id, sha256, size)
        chain = self._chain(project_id, sha256, size)
        try:
            self._write(project_id, sha256, size, _read_elsewhere(self._blocks(folder, chain)))
        except BackendUnavailable as error:
            if not self.is_whole(project_id, sha256, size):  # else another was first and took the parts away
                if isinstance(error, WrongHash):
                    self._delete(folder)
                raise
        self._delete(folder)

    def _blocks(self, folder: str, chain: list[tuple[int, int]]) -> Iterator[bytes]:
        import obstore

        for begin, end in chain:
            with self._telling():
                found = obstore.get(self._store, f"{folder}/{end:016d}/{begin:016d}")
                for block in found.stream(min_chunk_size=BLOCK_BYTES):
                    yield bytes(block)

    def _forget_old_parts(self, project_id: int) -> None:
        import obstore

        oldest = datetime.now(UTC) - timedelta(seconds=PART_LIFE_S)
        with self._telling():
            old = [meta["path"] for meta in self._list(f"{project_id}/parts") if meta["last_modified"] < oldest]
            if old:
                obstore.delete(self._store, old)

    # -- objects ---------------------------------------------------------------------------------

    def _write(self, project_id: int, sha256: str, size: int, blocks: Iterator[bytes]) -> None:
        import obstore

        with self._telling():
            obstore.put(
                self._store,
                _key(project_id, sha256),
                _checked(blocks, sha256),
                chunk_size=max(CHUNK_BYTES, -(-size // CHUNK_COUNT_LIMIT)),
                max_concurrency=CHUNKS_AT_ONCE,
            )

    def _list(self, folder: str) -> Iterator[ObjectMeta]:
        import obstore

        for found in obstore.list(self._store, folder):
            yield from found

    def _delete(self, folder: str) -> None:
        import obstore

        with self._telling():
            for found in obstore.list(self._store, folder):
                obstore.delete(self._store, [meta["path"] for meta in found])

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Turn the failures of the object store into ours; what it said is for the log of whoever runs us."""
        from obstore.exceptions import BaseError

        try:
            yield
        except (BaseError, OSError) as error:
            _log.warning("object store %s: %s", self._place, str(error).partition("\n")[0])
            gone = isinstance(error, FileNotFoundError)
            why = "it has no such bucket or object" if gone else type(error).__name__
            raise BackendUnavailable(f"the object store of the artifacts cannot be used now ({why})") from error


class _Stream(io.RawIOBase):
    """The bytes of an object, as they come."""

    def __init__(self, bucket: ArtifactBucket, chunks: Iterator[object]) -> None:
        self._bucket = bucket
        self._chunks = chunks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        while not self._rest:
            with self._bucket._telling():
                chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(cast(bytes, chunk)).cast("B")
        target = memoryview(cast(bytearray, buffer))
        count = min(len(target), len(self._rest))
        target[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def _key(project_id: int, sha256: str) -> str:
    return f"{project_id}/{sha256[:2]}/{sha256}"


def _parts(project_id: int, sha256: str, size: int) -> str:
    return f"{project_id}/parts/{sha256}-{size}"


def _read_elsewhere(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield blocks that another thread reads: obstore cannot be called by what it calls itself."""
    with ThreadPoolExecutor(1, thread_name_prefix="artifact-parts") as reader:
        while (block := reader.submit(next, blocks, None).result()) is not None:
            yield block


def _checked(blocks: Iterator[bytes], sha256: str) -> Iterator[bytes]:
    """Yield blocks, the last one only when all of them have the hash that was said."""
    digest, held = hashlib.sha256(), b""
    for block in blocks:
        digest.update(block)
        if held:
            yield held
        held = block
    if digest.hexdigest() != sha256:
        raise wrong_hash(sha256, digest.hexdigest())
    if held:
        yield held
