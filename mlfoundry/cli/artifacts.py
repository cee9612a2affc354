"""``mlfoundry artifacts``: the files of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .. import displays
from ..errors import ArtifactNotFound
from . import documents, output
from .layout import Grid
from .session import Family, Session

if TYPE_CHECKING:
    from ..results import ArtifactList


@click.group(cls=Family)
def artifacts() -> None:
    """List and fetch the files of a run.

    Examples:
      mlfoundry artifacts list iris-demo/svm-model
      mlfoundry artifacts download iris-demo/svm-model plots --to /tmp/svm
    """


@artifacts.command("list")
@click.argument("run")
@click.pass_obj
def list_(session: Session, run: str) -> None:
    """List the files of RUN.

    JSON: {"artifacts": [{path, size_bytes, sha256, created_at}]}
    """
    found = session.client.get_run(run).list_artifacts()
    if session.json:
        output.json_data({"artifacts": [documents.artifact(record) for record in found]})
    else:
        output.caption(repr(found).partition("\n")[0])
        if found:
            output.echo(table(found))


def table(files: ArtifactList, *, indent: int = 0) -> str:
    """Return the files of a run as text that has room behind an indent."""
    width = output.width()
    headers, rows, numeric = files.table()
    return Grid(headers, rows, numeric).chosen([3, 2], None if width is None else width - indent)[0]


@artifacts.command()
@click.argument("run")
@click.argument("path", required=False, default="")
@click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to copy into, made when missing; files of the same name there are replaced. By default it is the "
    "folder you are in, where none is.",
)
@click.pass_obj
def download(session: Session, run: str, path: str, folder: Path | None) -> None:
    """Copy files of RUN to this machine.

    All of them, or those at PATH: a file or a folder of the run. Each is checked against the hash it was logged
    with.

    JSON: {"folder", "artifacts": [{path, …}]}
    """
    found = session.client.get_run(run)
    below = path.rstrip("/")
    wanted = [
        each for each in found.list_artifacts() if not below or each.path == below or each.path.startswith(f"{below}/")
    ]
    if not wanted:
        what = f"no artifact {path!r}" if path else "no artifacts"
        raise ArtifactNotFound(f"{found.fqn} has {what}; `mlfoundry artifacts list` shows what it has")
    size = sum(each.size_bytes for each in wanted)
    with output.progress("Downloading", size, quiet=session.json) as bar:
        for each in wanted:
            found.download_artifact(each.path, folder, on_bytes=bar.update)
    folder = folder or Path()
    if session.json:
        output.json_data({"folder": str(folder), "artifacts": [documents.artifact(each) for each in wanted]})
    else:
        count = f"{len(wanted)} file{'s' if len(wanted) != 1 else ''}"
        output.echo(output.safe(f"{count} ({displays.size(size)}) {'is' if len(wanted) == 1 else 'are'} in {folder}"))
