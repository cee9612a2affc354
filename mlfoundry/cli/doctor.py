"""``mlfoundry doctor``: where the data is, and whether all is well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .. import displays
from . import output
from .session import Session, StoreCommand


@click.command(cls=StoreCommand)
@click.option("--check", is_flag=True, help="Read the whole store as well and say what is damaged.")
@click.pass_obj
def doctor(session: Session, check: bool) -> None:
    """Say where the data is and what is wrong.

    Each problem comes with its remedy. Looks and changes nothing: it makes no store and ships no journal. Exit
    code 1 when there is a problem; data that waits to be stored, or was put aside, is one.

    JSON: {"versions": {mlfoundry, python, platform, sqlite, packages}, "store": {uri, folder, exists, writable,
    file_system, is_network, disk_free_bytes, disk_total_bytes, database_bytes, artifacts_bytes, journal_mode,
    schema_version}, "server": {address, answers, version, user, is_admin, expires_at} or null, "gpus": {driver,
    devices: [{index, name, memory_bytes}], message}, "journals": [{folder, run_id, run, living, parked, pid,
    size_bytes, reason}], "settings": {name: {value, source}}, "settings_file": path, "checked": runs that --check
    read or null, "problems": [{problem, remedy}], "notes": [text]}

    Examples:
      mlfoundry doctor
      mlfoundry doctor --check
      mlfoundry --uri /data/mlfoundry doctor --json | jq .problems
    """
    from .examination import diagnose

    with output.progress("Checking runs", 1, quiet=session.json or not check) as bar:
        found = diagnose(session, check=check, bar=bar)
    if session.json:
        output.json_data(found.document())
    else:
        _tell(found.document())
    if found.problems:
        click.get_current_context().exit(1)


def _tell(found: dict[str, Any]) -> None:
    versions = found["versions"]
    packages = ", ".join(f"{name} {version}" for name, version in versions["packages"].items())
    known = [(name, str(versions[name])) for name in ("mlfoundry", "python", "platform", "sqlite")]
    output.echo(output.coloured("Versions", bold=True))
    output.echo(output.pairs([*known, ("packages", packages)]))
    if found["server"] is not None:
        output.section("Server", output.pairs(_server(found["server"])))
    title = "Store" if found["server"] is None else "Folder where runs wait for the server"
    output.section(title, output.pairs(_store(found["store"])))
    output.section("GPUs", _gpus(found["gpus"]))
    output.section("Journals not wholly stored", _journals(found["journals"]))
    rows = [[name, _shown(each["value"]), each["source"]] for name, each in found["settings"].items()]
    output.section("Settings", output.indented(displays.text_table(["setting", "value", "from"], rows)))
    absent = "" if Path(found["settings_file"]).exists() else ", which is not there"
    output.echo(output.safe(f"  (settings file: {found['settings_file']}{absent})"))
    if found["checked"] is not None:
        output.section("Check", f"  {found['checked']:,} runs were read")
    if found["notes"]:
        output.section("Worth knowing", "\n".join(f"  {output.safe(note)}" for note in found["notes"]))
    output.echo()
    for each in found["problems"]:
        output.echo(output.coloured(f"Problem: {output.safe(each['problem'])}", fg="red"))
        output.echo(f"  {output.safe(each['remedy'])}")
    if not found["problems"]:
        output.echo(output.coloured("All is well.", fg="green"))


def _store(store: dict[str, Any]) -> list[tuple[str, str]]:
    network = " (a network file system)" if store["is_network"] else ""
    told = [
        ("folder", store["folder"] + ("" if store["exists"] else " (made with the first run)")),
        ("writable", {True: "yes", False: "no"}[store["writable"]]),
        ("file system", f"{store['file_system'] or 'unknown'}{network}"),
    ]
    if store["disk_free_bytes"] is not None:
        free, total = displays.size(store["disk_free_bytes"]), displays.size(store["disk_total_bytes"])
        told.append(("disk", f"{free} free of {total}"))
    if store["database_bytes"] is not None:
        told.append(("database", displays.size(store["database_bytes"])))
    if store["artifacts_bytes"]:
        told.append(("artifacts", displays.size(store["artifacts_bytes"])))
    if store["journal_mode"] is not None:
        told.append(("journal mode", f"{store['journal_mode']}, schema version {store['schema_version']}"))
    return told


def _server(server: dict[str, Any]) -> list[tuple[str, str]]:
    told = [("address", server["address"]), ("answers", "yes" if server["answers"] else "no")]
    told += [("version", server["version"])] if server["version"] else []
    if server["user"]:
        admin = ", an admin of the server" if server["is_admin"] else ""
        told += [("user", f"{server['user']}{admin}"), ("key expires", server["expires_at"] or "never")]
    return told


def _gpus(gpus: dict[str, Any]) -> str:
    if not gpus["devices"]:
        return f"  {output.safe(gpus['message'])}"
    shown = [(f"GPU {each['index']}", _gpu(each["name"], each["memory_bytes"])) for each in gpus["devices"]]
    return output.pairs([*shown, ("driver", gpus["driver"])])


def _gpu(name: str, memory_bytes: int | None) -> str:
    return name if memory_bytes is None else f"{name}, {displays.size(memory_bytes)}"


def _journals(journals: list[dict[str, Any]]) -> str:
    if not journals:
        return "  none: everything is stored"
    rows = [[each["run"], _process(each), displays.size(each["size_bytes"]), each["folder"]] for each in journals]
    return output.indented(
        displays.text_table(["run", "process", "on disk", "folder"], rows, [False, False, True, False])
    )


def _process(journal: dict[str, Any]) -> str:
    pid = "" if journal["pid"] is None else f" ({journal['pid']})"
    parked = ", put aside" if journal["parked"] else ""
    return {True: "lives", False: "is gone", None: "cannot be told"}[journal["living"]] + pid + parked


def _shown(value: Any) -> str:
    return displays.ABSENT if value is None else str(value)
