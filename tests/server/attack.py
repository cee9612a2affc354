"""One user who attacks a server in every way at once, until standard input ends; then tells what came of it.

A program of its own, so that the server and the honest client beside it share nothing with it but the machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import requests

from mlfoundry.tracking.accounts import new_key

BETWEEN_S = 0.02


class Attack:
    """All of it, on one project of the attacker's own."""

    def __init__(self, address: str, key: str, project: str, run: str, bomb: bytes) -> None:
        host, port = address.removeprefix("http://").split(":")
        self.place = (host, int(port))
        self.address, self.project = address, f"{address}/api/v1/projects/{project}"
        self.path = f"/api/v1/projects/{project}/runs/search"
        self.run, self.bomb, self.key = run, bomb, key
        self.auth = {"Authorization": f"Bearer {key}"}
        self.stop = threading.Event()
        self.counts: dict[str, Counter[str]] = defaultdict(Counter)

    def begin(self) -> None:
        for act in (self.large, self.deep, self.bombs, self.wrong_keys, self.pages):
            threading.Thread(target=self._again_and_again, args=(act,), daemon=True).start()
        head = f"POST {self.path} HTTP/1.1\r\nHost: {self.place[0]}\r\nAuthorization: Bearer {self.key}\r\n"
        head += "Content-Type: application/json\r\nContent-Length: 1000000\r\n\r\n"
        for count, start in ((100, b"GET / HTTP/1.1\r\nX-a: "), (60, head.encode())):
            threading.Thread(target=self._drip, args=(count, start), daemon=True).start()

    def _again_and_again(self, act: Callable[[], requests.Response]) -> None:
        while not self.stop.wait(BETWEEN_S):
            try:
                self.counts[act.__name__][str(act().status_code)] += 1
            except requests.RequestException as error:
                self.counts[act.__name__][type(error).__name__] += 1

    def _drip(self, count: int, start: bytes) -> None:
        """Hold connections open, a byte at a time."""
        held = []
        for _ in range(count):
            with contextlib.suppress(OSError):
                held.append(socket.create_connection(self.place, timeout=5))
                held[-1].sendall(start)
        while not self.stop.wait(0.2):
            for peer in held:
                with contextlib.suppress(OSError):
                    peer.sendall(b" ")

    def _post(self, data: bytes | Iterator[bytes]) -> requests.Response:
        headers = {**self.auth, "Content-Type": "application/json"}
        return requests.post(f"{self.project}/runs/search", data=data, headers=headers, timeout=30)

    def large(self) -> requests.Response:
        return self._post(iter(lambda: b"x" * 65_536, b""))

    def deep(self) -> requests.Response:
        return self._post(b'{"filter":' + b"[" * 400_000)

    def bombs(self) -> requests.Response:
        place = f"{self.project}/runs/{self.run}/journals/9"
        return requests.post(place, data=self.bomb, headers=self.auth, timeout=30)

    def wrong_keys(self) -> requests.Response:
        headers = {"Authorization": f"Bearer {new_key()}"}
        return requests.get(f"{self.address}/api/v1/whoami", headers=headers, timeout=30)

    def pages(self) -> requests.Response:
        return self._post(json.dumps({"limit": 10**9}).encode())


def main(address: str, key: str, project: str, run: str, bomb: str) -> None:
    attack = Attack(address, key, project, run, Path(bomb).read_bytes())
    attack.begin()
    print("begun", flush=True)
    sys.stdin.read()
    attack.stop.set()
    print(json.dumps(attack.counts), flush=True)
    os._exit(0)  # its threads are in the middle of requests


if __name__ == "__main__":
    main(*sys.argv[1:])
