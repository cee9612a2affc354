"""Execute the quickstart notebook, then show what it tracked: all figures are read from the store.

Called by ``make demo``. The executed notebook, the store and what Jupyter keeps go to one folder, by
default ``.demo``; each call adds runs to that store.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

NOTEBOOK = Path(__file__).with_name("01_quickstart.ipynb")
PROJECT = "digits"
CELL_TIMEOUT_S = 300
RANK = "metrics.val/accuracy DESC"


def main(arguments: list[str] | None = None) -> int:
    """Execute the notebook and print the report; return the exit code."""
    parser = argparse.ArgumentParser(description="Execute the quickstart notebook and show what it tracked.")
    parser.add_argument("--folder", type=Path, default=Path(".demo"), help="where all of it goes")
    folder: Path = parser.parse_args(arguments).folder
    folder.mkdir(parents=True, exist_ok=True)
    keep_to(folder)
    executed = folder / NOTEBOOK.name
    print(f"Executing {shown(NOTEBOOK)}: it trains a dozen models, in a minute or two.", flush=True)
    began = time.monotonic()
    error = execute(NOTEBOOK, executed)
    if error:
        print(f"The notebook stopped. {shown(executed)} shows where.\n{error}", file=sys.stderr)
        return 1
    print(f"Done in {time.monotonic() - began:.0f} s.\n")
    report(folder)
    tell_how_to_open(folder, executed)
    return 0


def keep_to(folder: Path) -> None:
    """Let the kernel and this process keep to a folder, with runs as with IPython's history."""
    for name in [name for name in os.environ if name.startswith("MLFOUNDRY_") and name != "MLFOUNDRY_USER"]:
        del os.environ[name]
    os.environ["MLFOUNDRY_HOME"] = str(store_of(folder).absolute())
    os.environ["IPYTHONDIR"] = str((folder / "ipython").absolute())


def store_of(folder: Path) -> Path:
    """Return the folder of the store."""
    return folder / "store"


def execute(source: Path, target: Path) -> str:
    """Execute a notebook with this Python and write it with its outputs; return what stopped it, or nothing."""
    import nbformat
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    notebook = nbformat.read(source, as_version=4)  # type: ignore[no-untyped-call]
    # Without folders to look in, "python3" is this interpreter, whatever kernels the user has installed.
    specs = KernelSpecManager(kernel_dirs=[], ensure_native_kernel=True)
    resources = {"metadata": {"path": str(source.parent)}}
    # Sockets in a folder of one's own, not TCP: nobody else can talk to the kernel. Their paths must be short.
    with tempfile.TemporaryDirectory(prefix="mlfoundry-") as sockets:
        kernel = AsyncKernelManager(
            kernel_name="python3", kernel_spec_manager=specs, transport="ipc", connection_file=f"{sockets}/kernel.json"
        )
        client = NotebookClient(notebook, km=kernel, timeout=CELL_TIMEOUT_S, resources=resources)
        client.owns_km = True  # it ends the kernel
        try:
            client.execute()
        except CellExecutionError as error:
            return f"{error.ename}: {error.evalue}"
        except (CellTimeoutError, DeadKernelError) as error:
            return str(error)
        finally:
            nbformat.write(notebook, target)  # type: ignore[no-untyped-call]
    return ""


def report(folder: Path) -> None:
    """Print the runs of the store, the best of them and the one that failed."""
    import mlfoundry

    client = mlfoundry.get_client(store_of(folder))
    print(client.list_runs(PROJECT))
    best = client.search_runs(PROJECT, "status = 'FINISHED'", order_by=RANK)[0]
    accuracy = best.record.metrics["val/accuracy"]
    print(f"\nBest: {best.run_name}, the finished run with the highest last val/accuracy ({accuracy.last:.4f})")
    for run in client.search_runs(PROJECT, "status = 'FAILED'")[:1]:
        print(f"Failed: {run.run_name}, {run.error}")


def tell_how_to_open(folder: Path, executed: Path) -> None:
    """Print where the store and the executed notebook are, and how to look at them."""
    bin_folder = Path(sys.executable).parent
    print(f"\nStore: {shown(store_of(folder))}")
    print(f"       MLFOUNDRY_HOME={shown(store_of(folder))} {shown(bin_folder / 'mlfoundry')} runs {PROJECT}")
    print(f"Notebook with its outputs: {shown(executed)}")
    if not (bin_folder / "jupyter-lab").exists():
        print(f"       {shown(bin_folder / 'pip')} install jupyterlab")
    print(f"       {shown(bin_folder / 'jupyter')} lab {shown(executed)}")


def shown(path: Path) -> str:
    """Return a path as one would type it: relative to the working folder when it lies below."""
    path = path.absolute()
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


if __name__ == "__main__":
    sys.exit(main())
