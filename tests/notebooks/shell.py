"""A real IPython shell in a process of its own, which executes the cells that tests send it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

_CHILD = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

shell = InteractiveShell.instance(colors="NoColor")
for line in sys.stdin:
    asked = json.loads(line)
    with capture_output() as shown:
        if asked["what"] == "cell":
            result = shell.run_cell(asked["text"], store_history=True, cell_id=asked["cell_id"])
            error = result.error_before_exec or result.error_in_exec
            told = {"error": type(error).__name__ if error is not None else None}
        else:
            try:
                told = {"value": eval(asked["text"], shell.user_ns)}
            except Exception as broken:
                told = {"value": f"{type(broken).__name__}: {broken}"}
    texts = [shown.stdout, shown.stderr, *(output.data.get("text/plain", "") for output in shown.outputs)]
    htmls = [output.data.get("text/html", "") for output in shown.outputs]
    print(json.dumps({**told, "text": "\\n".join(filter(None, texts)), "html": "\\n".join(htmls)}), flush=True)
"""


class Shell:
    """The shell; `cell` executes, `value` evaluates."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        environment = {name: text for name, text in os.environ.items() if not name.startswith("MLFOUNDRY_")}
        environment |= {
            "HOME": str(folder),
            "IPYTHONDIR": str(folder / "ipython"),
            "MLFOUNDRY_HOME": str(folder / "store"),
            "MLFOUNDRY_USER": "ann",
            "MLFOUNDRY_SYSTEM_METRICS": "0",
            "MLFOUNDRY_CAPTURE": "0",
            "PYTHONPATH": str(Path(__file__).parents[2]),
            **settings,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-c", _CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=folder,
        )

    def cell(self, text: str, cell_id: str | None = None) -> dict:
        return self._ask({"what": "cell", "text": text, "cell_id": cell_id})

    def value(self, text: str) -> object:
        return self._ask({"what": "value", "text": text})["value"]

    def _ask(self, asked: dict) -> dict:
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, "the shell has ended"
        return json.loads(answer)

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()
