"""An object store of the tests' own: moto's server, which speaks S3, on loopback."""

from __future__ import annotations

import logging
import secrets

import requests
from moto.server import ThreadedMotoServer

REGION = "us-east-1"


class Buckets:
    """One server; each test gets a bucket of its own."""

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
        self._server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.address = f"http://{host}:{port}"

    def settings(self) -> dict[str, str]:
        """Return the environment with which a client reaches it."""
        return {
            "AWS_ENDPOINT_URL": self.address,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "tests",
            "AWS_SECRET_ACCESS_KEY": "no-secret",
        }

    def make(self) -> str:
        """Make a bucket; return its name."""
        name = f"bucket-{secrets.token_hex(6)}"
        requests.put(f"{self.address}/{name}", timeout=10).raise_for_status()
        return name

    def unfinished(self, name: str) -> int:
        """Return how many uploads in several parts were begun in a bucket and neither finished nor given up."""
        told = requests.get(f"{self.address}/{name}?uploads", timeout=10)
        return told.text.count("<UploadId>")

    def stop(self) -> None:
        """End the server."""
        self._server.stop()
