"""MLFoundry: an experiment tracker for people who live in notebooks.

>>> import mlfoundry
>>> client = mlfoundry.get_client()
>>> with client.create_run(project_name="iris-demo", run_name="svm-model") as run:
...     run.log_params({"C": 1.0, "kernel": "rbf"})
...     run.log_metrics({"accuracy": 0.97, "loss": 0.08}, step=1)

Importing it starts nothing, reads nothing and loads no other package; names load when they are used.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing itself would cost half of what a bare interpreter does
if TYPE_CHECKING:
    from .client import Client, get_client
    from .errors import MlfoundryError
    from .records import Health, Permission, RunStatus
    from .runs.own_runs import open_runs
    from .runs.run import Run
    from .runs.stored_run import StoredRun

__version__ = "0.1.0"
__all__ = [
    "Client",
    "Health",
    "MlfoundryError",
    "Permission",
    "Run",
    "RunStatus",
    "StoredRun",
    "__version__",
    "errors",
    "get_client",
    "open_runs",
]

_HOMES = {
    "Client": "client",
    "get_client": "client",
    "MlfoundryError": "errors",
    "Health": "records",
    "Permission": "records",
    "RunStatus": "records",
    "Run": "runs.run",
    "StoredRun": "runs.stored_run",
    "open_runs": "runs.own_runs",
}


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name == "errors":
        return import_module(".errors", __name__)
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
