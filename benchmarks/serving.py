"""One server process: ``python -m benchmarks.serving URI FOLDER PORT``, until it is told to end.

It is what a team runs, but for the line of the log that each request gets, which goes nowhere here.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path


def main(uri: str, folder: str, port: str) -> None:
    """Serve a store on loopback."""
    import uvicorn

    from mlfoundry.server.app import create_app
    from mlfoundry.store.artifacts import ArtifactFolder
    from mlfoundry.store.database import Database
    from mlfoundry.store.postgres import PostgresDatabase

    logging.getLogger("mlfoundry").setLevel(logging.WARNING)
    database = PostgresDatabase(uri) if "://" in uri else Database(Path(uri))
    app = create_app(database, ArtifactFolder(Path(folder)))  # type: ignore[arg-type]
    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="warning", access_log=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
