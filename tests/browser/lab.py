"""A real JupyterLab (and Notebook 7) on loopback, and a notebook open in it: what the browser tests drive.

Each server has a home, settings and data folders of its own; nothing of whoever runs the tests is read.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import nbformat
import requests

START_S = 90.0
ACTION_MS = 60_000
ROOT = Path(__file__).parents[2]


class Lab:
    """A running server.

    Attributes:
        url: Where it answers, without a slash at its end.
        token: What lets one in.
        folder: Where its notebooks lie.
        home: The MLFoundry home of its kernels.
    """

    def __init__(self, url: str, token: str, folder: Path, home: Path) -> None:
        self.url = url
        self.token = token
        self.folder = folder
        self.home = home

    def write(self, name: str, cells: Sequence[str]) -> Path:
        """Write a notebook of code cells; return its file."""
        notebook = nbformat.v4.new_notebook()
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        notebook.cells = [nbformat.v4.new_code_cell(source) for source in cells]
        path = self.folder / name
        nbformat.write(notebook, path)
        return path

    def read(self, name: str) -> Any:
        """Return a notebook as it is saved."""
        return nbformat.read(self.folder / name, as_version=4)

    def open(self, page: Any, name: str, *, classic: bool = False) -> Notebook:
        """Open a notebook in a page, in JupyterLab or in Notebook 7, and wait until its kernel is idle."""
        place = f"notebooks/{name}?" if classic else f"lab/tree/{name}?reset&"
        page.goto(f"{self.url}/{place}token={self.token}")
        notebook = Notebook(page, name)
        notebook.wait_until_ready()
        return notebook

    def shutdown_kernels(self) -> None:
        """End all kernels, as if it were the next day."""
        headers = {"Authorization": f"token {self.token}"}
        for kernel in requests.get(f"{self.url}/api/sessions", headers=headers, timeout=10).json():
            requests.delete(f"{self.url}/api/sessions/{kernel['id']}", headers=headers, timeout=30)


class Notebook:
    """A notebook open in a page, with its kernel."""

    def __init__(self, page: Any, name: str) -> None:
        self.page = page
        self.name = name

    def wait_until_ready(self) -> None:
        """Wait until the kernel answers; a notebook without one is ready when its cells are seen."""
        self.page.wait_for_function(
            """() => { const panel = window.jupyterapp?.shell?.currentWidget;
                       return panel?.context?.isReady && panel.content.widgets.length > 0
                           && panel.sessionContext.session?.kernel?.status === "idle"; }""",
            timeout=ACTION_MS,
        )

    def wait_until_idle(self) -> None:
        """Wait until no cell runs or waits to run."""
        self.page.wait_for_function(
            """() => { const panel = window.jupyterapp.shell.currentWidget;
                       return panel.sessionContext.session?.kernel?.status === "idle"
                           && panel.content.widgets.every(c => c.model.executionState !== "running"
                              && !(c.promptNode?.textContent ?? "").includes("*")); }""",
            timeout=ACTION_MS,
        )

    def start(self, *cells: int) -> None:
        """Execute cells by their places and do not wait for their ends."""
        self.page.evaluate(
            """async places => { const panel = window.jupyterapp.shell.currentWidget;
                for (const place of places) {
                    panel.content.activeCellIndex = place;
                    window.jupyterapp.commands.execute("notebook:run-cell");
                } }""",
            list(cells),
        )

    def run(self, *cells: int, limit_ms: float = ACTION_MS) -> None:
        """Execute cells by their places and wait for their ends, at most so long for each."""
        for place in cells:
            before = self.count(place)
            self.start(place)
            self.page.wait_for_function(
                """([place, before]) => {
                       const model = window.jupyterapp.shell.currentWidget.content.widgets[place].model;
                       return model.executionCount !== before && model.executionCount !== null; }""",
                arg=[place, before],
                timeout=limit_ms,
            )
        self.wait_until_idle()

    def execute(self, code: str) -> None:
        """Execute code that stands in no cell, and wait for its end."""
        status = self.page.evaluate(
            """code => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel
                .requestExecute({ code, store_history: false }).done.then(reply => reply.content.status)""",
            code,
        )
        assert status == "ok", code

    def count(self, place: int) -> int | None:
        """Return the execution count of a cell."""
        count: int | None = self.page.evaluate(
            "place => window.jupyterapp.shell.currentWidget.content.widgets[place].model.executionCount", place
        )
        return count

    def cell(self, place: int) -> Any:
        """Return the locator of a cell, whose outputs are then sought in it."""
        return self.page.locator(".jp-Notebook-cell").nth(place)

    def command(self, command: str) -> None:
        """Execute a command of the application and wait for it."""
        self.page.evaluate("command => window.jupyterapp.commands.execute(command).then(() => null)", command)

    def save(self) -> None:
        """Save the notebook."""
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.context.save()")

    def restart_kernel(self) -> None:
        """Restart the kernel, as its menu does after its question was answered."""
        self.page.evaluate(
            "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart().then(() => null)"
        )
        self.wait_until_ready()


def free_port() -> int:
    """Return a port that nobody uses at this moment."""
    with socket.socket() as each:
        each.bind(("127.0.0.1", 0))
        port: int = each.getsockname()[1]
        return port


def _environment(folder: Path, home: Path) -> dict[str, str]:
    own = {
        "HOME": str(folder / "user"),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_DATA_DIR": str(folder / "data"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
        "IPYTHONDIR": str(folder / "ipython"),
        "MLFOUNDRY_HOME": str(home),
        "MLFOUNDRY_USER": "ann",
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("MLFOUNDRY_", "JUPYTER", "PYTEST"))
    }
    for name in ("user", "config", "data", "runtime", "settings", "workspaces", "ipython"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return {**kept, **own}


def _command(port: int, token: str, notebooks: Path) -> list[str]:
    return [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}",
        "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={notebooks}",
        "--LabApp.expose_app_in_browser=True", "--JupyterNotebookApp.expose_app_in_browser=True",
        "--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.extension_manager=readonly", "--ServerApp.log_level=WARN",
    ]  # fmt: skip


@contextlib.contextmanager
def running_lab(folder: Path) -> Iterator[Lab]:
    """Start a server below `folder`; end it and its kernels afterwards."""
    notebooks, home = folder / "notebooks", folder / "mlfoundry"
    notebooks.mkdir(parents=True)
    home.mkdir()
    settings = folder / "settings" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    settings.parent.mkdir(parents=True)
    settings.write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False}))
    port, token = free_port(), secrets.token_hex(16)
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            _command(port, token, notebooks), env=_environment(folder, home), stdout=log, stderr=log, cwd=notebooks
        )
        try:
            url = f"http://127.0.0.1:{port}"
            _await_answer(server, url, token, folder / "server.log")
            lab = Lab(url, token, notebooks, home)
            yield lab
            with contextlib.suppress(requests.RequestException):
                lab.shutdown_kernels()
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait(20)


def _await_answer(server: subprocess.Popen[bytes], url: str, token: str, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            break
        with contextlib.suppress(requests.RequestException):
            if requests.get(f"{url}/api/status?token={token}", timeout=5).ok:
                return
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(0.1)
    raise RuntimeError(f"JupyterLab did not start within {START_S:.0f} s:\n{log.read_text()[-4000:]}")
