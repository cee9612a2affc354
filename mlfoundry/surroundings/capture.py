"""What a run records about its surroundings: git, Python, packages and hardware.

Owns what is looked at, how little of it is kept and how long it may take. It does not know where facts
are stored: a run hands ``start`` a function that takes them.

Never looked at: host and user names, addresses, environment variables, argv, paths on this machine.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from .. import forks
from ..log import Log
from .facts import Facts, found, or_nothing
from .git import git_facts, recent_git_facts
from .machine import gpus, machine
from .packages import packages

# subprocess, platform, importlib.metadata, psutil and pynvml are imported where they are used: in the
# thread, so that neither `import mlfoundry` nor `create_run` pays for them.

_log = Log("mlfoundry")


def capture(directory: Path | None = None) -> Facts:
    """Return what can be found out about this process's surroundings, in at most about five seconds.

    Whatever cannot be found out is absent; nothing is raised. Any thread may call it.

    Args:
        directory: Where to look for a git repository; the working directory when None.

    Returns:
        Flat facts, all text: ``git.commit``, ``git.branch`` (absent when detached), ``git.dirty`` (``true``
        when a tracked file differs from the commit), ``git.remote`` (without credentials; a remote on this
        machine is absent), ``python.*``, ``platform.*``, ``hardware.*``, ``packages`` (``name==version``,
        one a line) and ``mlfoundry.version``.
    """
    facts: Facts = {}
    for piece in _pieces(directory or _working_directory(), git_facts):
        facts.update(piece)
    return facts


def start(done: Callable[[Facts], None], directory: Path | None = None) -> threading.Thread:
    """Capture in a daemon thread and hand the facts over as they come.

    Costs the caller the start of a thread. ``done`` is called up to three times in that thread: with
    Python and hardware, with git, with packages and GPUs. What ``done`` raises is logged at debug level.

    Args:
        done: Takes one piece of the facts.
        directory: Where to look for a git repository; the working directory of this moment when None.
    """
    place = directory or _working_directory()
    thread = threading.Thread(target=_deliver, args=(done, place), name="mlfoundry-capture", daemon=True)
    thread.start()
    return thread


def _deliver(done: Callable[[Facts], None], directory: Path | None) -> None:
    """Hand over each piece as soon as it is known."""
    # Thread.start waits for the thread's first breath; without this pause the imports below would keep
    # the interpreter for a whole switch interval (5 ms) before the caller goes on.
    time.sleep(0.001)
    with forks.held_up():
        import subprocess  # noqa: F401
    for piece in _pieces(directory, recent_git_facts):
        if piece:
            try:
                done(piece)
            except Exception:  # a fact that nobody takes must not end a training run
                _log.debug("facts were not taken", exc_info=True)


def _pieces(directory: Path | None, git: Callable[[Path], Facts]) -> Iterator[Facts]:
    yield or_nothing(machine)
    yield {} if directory is None else or_nothing(lambda: git(directory))
    yield found({"packages": packages}) | or_nothing(gpus)


def _working_directory() -> Path | None:
    try:
        return Path.cwd()
    except OSError:  # it was deleted under us
        return None
