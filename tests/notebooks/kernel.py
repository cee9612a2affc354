"""A real IPython kernel, which executes cells as a notebook's front end has it done."""

from __future__ import annotations

import os
import time
from pathlib import Path
from queue import Empty

from jupyter_client.manager import KernelManager

LIMIT_S = 60


class Kernel:
    """The kernel; `cell` executes and waits, `begin` only asks for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        environment = {name: text for name, text in os.environ.items() if not name.startswith("MLFOUNDRY_")}
        environment |= {
            "HOME": str(folder),
            "IPYTHONDIR": str(folder / "ipython"),
            "MLFOUNDRY_HOME": str(folder / "store"),
            "MLFOUNDRY_USER": "ann",
            "MLFOUNDRY_CAPTURE": "0",
            "MLFOUNDRY_PANEL": "0",
            "JPY_SESSION_NAME": "notebook.ipynb",
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        self.manager = KernelManager(kernel_name="python3")
        self.manager.start_kernel(env=environment, cwd=str(folder))
        self._connect()

    def _connect(self) -> None:
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=LIMIT_S)
        assert self.cell("%load_ext mlfoundry_jupyter")["status"] == "ok"

    def begin(self, text: str, cell_id: str | None = None) -> str:
        content = {"code": text, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
        metadata = {} if cell_id is None else {"cellId": cell_id}
        message = self.client.session.msg("execute_request", {**content, "stop_on_error": True}, metadata=metadata)
        self.client.shell_channel.send(message)
        return message["header"]["msg_id"]

    def cell(self, text: str, cell_id: str | None = None) -> dict:
        return self.end(self.begin(text, cell_id))

    def end(self, asked: str) -> dict:
        """Wait for a cell's end; return its reply with what it showed."""
        shown = self.shown(asked, lambda message: message["content"].get("execution_state") == "idle")
        while True:
            reply = self.client.get_shell_msg(timeout=LIMIT_S)
            if reply["parent_header"].get("msg_id") == asked:
                return {**reply["content"], "shown": shown}

    def shown(self, asked: str, is_last) -> str:
        """Return what a cell shows until a message that is the last to wait for."""
        texts = []
        while True:
            try:
                message = self.client.get_iopub_msg(timeout=LIMIT_S)
            except Empty:
                raise AssertionError(f"the kernel said nothing more after {texts}") from None
            if message["parent_header"].get("msg_id") != asked:
                continue
            content = message["content"]
            texts.append(content.get("text") or content.get("data", {}).get("text/plain") or "")
            texts.extend(content.get("traceback", ()))
            if is_last(message):
                return "\n".join(filter(None, texts))

    def wait_for_text(self, asked: str, text: str) -> None:
        """Wait until a cell has printed something."""
        self.shown(asked, lambda message: text in (message["content"].get("text") or ""))

    def wait_for_death(self) -> None:
        """Wait until the kernel's process is gone."""
        deadline = time.monotonic() + LIMIT_S
        while self.manager.is_alive():
            assert time.monotonic() < deadline, "the kernel lives on"
            time.sleep(0.02)

    def restart(self, *, now: bool = True) -> None:
        """Start the kernel anew; it is killed for that, or with now=False asked to end."""
        self.client.stop_channels()
        self.manager.restart_kernel(now=now)
        self._connect()

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.context.destroy(linger=0)
