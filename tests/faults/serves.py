"""A server in a process of its own: ``serves.py DATABASE FOLDER PORT``; it says so once it listens."""

import sys
from pathlib import Path

import uvicorn

from mlfoundry.server.app import create_app
from mlfoundry.store.artifacts import ArtifactFolder
from mlfoundry.store.postgres import PostgresDatabase


class Server(uvicorn.Server):
    """One that says when it listens."""

    async def startup(self, sockets=None):
        """Listen."""
        await super().startup(sockets)
        print("listening", flush=True)


uri, folder, port = sys.argv[1:]
database = PostgresDatabase(uri, pool_size=8)
app = create_app(database, ArtifactFolder(Path(folder) / "artifacts"))
Server(uvicorn.Config(app, host="127.0.0.1", port=int(port), log_level="error")).run()
