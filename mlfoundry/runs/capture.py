"""What a run records about its surroundings: git, Python, packages and hardware.

Owns what is looked at, how little of it is kept and how long it may take. It does not know where facts
are stored: a run hands ``start`` a function that takes them.

Never looked at: host and user names, addresses, environment variables, argv, paths on this machine.
A repository is somebody else's input: git is run so that no program named in its configuration starts.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from .. import forks
from ..log import Log

# subprocess, platform, importlib.metadata, psutil and pynvml are imported where they are used: in the
# thread, so that neither `import mlfoundry` nor `create_run` pays for them.

Facts = dict[str, str]
_log = Log("mlfoundry")

_GIT_CALL_S = 2.0
_GIT_TOTAL_S = 3.5
_GPU_S = 1.0


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
    for piece in _pieces(directory or _working_directory(), _git):
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


def without_credentials(url: str) -> str:
    """Return a git remote's URL with nothing left that could be a secret or a person's name.

    User information, query and fragment go. Where a URL can be read in two ways, the shorter result
    wins: it may lose a part of a strange path, never keep a password. ``git@host:path`` stays as it is.
    """
    text = "".join(character for character in url if character.isprintable()).strip()
    scheme, mark, rest = text.partition("://")
    if not mark or not _is_scheme(scheme):
        return _without_query(_scp_without_credentials(text))
    authority, slash, path = rest.partition("/")
    authority = authority.replace("%40", "@")
    if "@" in authority:
        authority = authority.rpartition("@")[2]
    elif "@" in path and _port_is_odd(authority):  # the password holds a slash: user:pa/ss@host
        authority, slash, path = path.rpartition("@")[2].partition("/")
    authority = _without_query(authority)
    if _port_is_odd(authority):
        authority = authority.partition(":")[0]
    # One URL can stand in the path of another: https://proxy/https://user:secret@host/path
    segments = [part.rpartition("@")[2] if ":" in part.rpartition("@")[0] else part for part in path.split("/")]
    return _without_query(f"{scheme}://{authority}{slash}{'/'.join(segments)}")


def _is_scheme(text: str) -> bool:
    # git's remote helpers put colons into it: codecommit::eu-west-1://repository
    return text != "" and all(character.isalnum() or character in "+-.:" for character in text)


def _without_query(text: str) -> str:
    return text.partition("?")[0].partition("#")[0]


def _port_is_odd(authority: str) -> bool:
    _, colon, port = authority.rpartition(":")
    return bool(colon) and port != "" and not port.isdigit() and not authority.endswith("]")


def _scp_without_credentials(text: str) -> str:
    helper, double_colon, _ = text.partition("::")
    if double_colon and _is_scheme(helper):
        return ""  # ext::COMMAND: anything may stand in a command line
    if text.startswith("git@") and text.count("@") == 1:
        return text
    before, at, after = text.rpartition("@")
    if at and ":" in before:
        return after
    host, slash, path = text.partition("/")
    return f"{host.rpartition('@')[2]}{slash}{path}"


def _deliver(done: Callable[[Facts], None], directory: Path | None) -> None:
    """Hand over each piece as soon as it is known."""
    # Thread.start waits for the thread's first breath; without this pause the imports below would keep
    # the interpreter for a whole switch interval (5 ms) before the caller goes on.
    time.sleep(0.001)
    with forks.held_up():
        import subprocess  # noqa: F401
    for piece in _pieces(directory, _recent_git):
        if piece:
            try:
                done(piece)
            except Exception:  # a fact that nobody takes must not end a training run
                _log.debug("facts were not taken", exc_info=True)


def _pieces(directory: Path | None, git: Callable[[Path], Facts]) -> Iterator[Facts]:
    yield _or_nothing(_machine)
    yield {} if directory is None else _or_nothing(lambda: git(directory))
    yield _found({"packages": packages}) | _or_nothing(_gpus)


GIT_FRESH_S = 10.0
_git_seen: dict[Path, tuple[float, Facts]] = {}


def _recent_git(directory: Path) -> Facts:
    """Return the repository's facts, not asked again within seconds: a loop makes many short runs."""
    at, facts = _git_seen.get(directory, (-GIT_FRESH_S, {}))
    if time.monotonic() - at >= GIT_FRESH_S or not facts:
        facts = _git(directory)
        _git_seen[directory] = (time.monotonic(), facts)
    return dict(facts)


def _working_directory() -> Path | None:
    try:
        return Path.cwd()
    except OSError:  # it was deleted under us
        return None


def _or_nothing(probe: Callable[[], Facts]) -> Facts:
    try:
        return dict(probe())
    except Exception:  # a fact that cannot be had is absent, whatever the reason
        return {}


def _found(probes: dict[str, Callable[[], object]]) -> Facts:
    facts: Facts = {}
    for name, probe in probes.items():
        with suppress(Exception):  # as above
            facts[name] = str(probe() or "")
    return {name: value for name, value in facts.items() if value}


# lru_cache holds no lock while it computes, so a fork in the middle cannot leave one locked in the child.
@lru_cache(maxsize=1)
def _machine() -> Facts:
    """Return what stays the same while this process lives."""
    return _found(
        {
            "mlfoundry.version": _own_version,
            "python.version": lambda: _platform("python_version"),
            "python.implementation": lambda: _platform("python_implementation"),
            "platform.system": lambda: _platform("system"),
            "platform.release": lambda: _platform("release"),
            "platform.machine": lambda: _platform("machine"),
            "hardware.cpu": _cpu,
            "hardware.cpu_count": os.cpu_count,
            "hardware.memory_bytes": _memory_bytes,
        }
    )


def _own_version() -> str:
    from .. import __version__

    return __version__


def _platform(name: str) -> str:
    import platform

    return str(getattr(platform, name)())


def _cpu() -> str | None:
    """Return the name of the processor."""
    if sys.platform == "win32":
        import winreg

        key = r"HARDWARE\DESCRIPTION\System\CentralProcessor\0"
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, key) as processor:
            return str(winreg.QueryValueEx(processor, "ProcessorNameString")[0]).strip()
    if sys.platform == "darwin":
        command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        return (_output(command, directory=Path("/"), environment={}, timeout_s=1.0) or "").strip()
    with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            name, _, value = line.partition(":")
            if name.strip() in ("model name", "cpu model", "Model"):  # x86, MIPS, ARM
                return value.strip()
    return None


def _memory_bytes() -> int:
    import psutil

    return int(psutil.virtual_memory().total)


def _gpus() -> Facts:
    """Name the GPUs, or give up after a second: a sick driver can keep NVML waiting for minutes."""
    facts: Facts = {}
    thread = threading.Thread(
        target=lambda: facts.update(_or_nothing(_gpu_names)), name="mlfoundry-capture-gpu", daemon=True
    )
    thread.start()
    thread.join(_GPU_S)
    return {} if thread.is_alive() else facts


@lru_cache(maxsize=1)
def _gpu_names() -> Facts:
    import pynvml

    pynvml.nvmlInit()
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
        names = [pynvml.nvmlDeviceGetName(handle) for handle in handles]
    finally:
        pynvml.nvmlShutdown()
    return {
        f"hardware.gpu.{number}": name.decode() if isinstance(name, bytes) else str(name)
        for number, name in enumerate(names)
    }


def packages() -> str:
    """Return the installed packages that this process can import, as the fact ``packages`` has them."""
    return _packages(_search_path())


def _search_path() -> tuple[tuple[str, int], ...]:
    """Return where packages are looked for and when each place last changed: ``%pip install`` counts."""

    def changed(place: str) -> int:
        try:
            return Path(place).stat().st_mtime_ns
        except (OSError, ValueError):
            return 0

    return tuple((place, changed(place)) for place in sys.path)


@lru_cache(maxsize=1)
def _packages(search_path: tuple[tuple[str, int], ...]) -> str:
    """Return the packages of a search path, one a line."""
    from importlib.metadata import distributions

    found: dict[str, str] = {}
    for distribution in distributions(path=[place for place, _ in search_path]):
        # .name and .version parse the whole file as an e-mail, ten times slower than its two lines.
        name = version = ""
        text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
        for line in text.splitlines():
            if line.startswith("Name:"):
                name = line[5:].strip()
            elif line.startswith("Version:"):
                version = line[8:].strip()
            elif not line:
                break
        normal = name.lower().replace("_", "-").replace(".", "-")
        if name and version and normal not in found:  # the first on the path is the one that is imported
            found[normal] = f"{name}=={version}"
    return "\n".join(found[normal] for normal in sorted(found))


# What keeps git from starting anything but itself; together with the minimal environment below, and with
# `_dirty` refusing repositories that bring filter programs. See gitsecurityboundary in git's manual.
_GIT_OPTIONS = (
    "--no-pager",
    "-c", "core.fsmonitor=false",  # a program that status asks what changed
    "-c", f"core.hooksPath={os.devnull}",
    "-c", "safe.bareRepository=explicit",  # a bare repository can hide among the files of another
)  # fmt: skip
_GIT_ENVIRONMENT = {
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_LAZY_FETCH": "1",
    # A partial clone may fetch what is missing, which would start ssh, helpers or the remote's uploadpack;
    # this also stops versions of git that do not know the variable above.
    "GIT_ALLOW_PROTOCOL": "none",
    "LC_ALL": "C",
}
# HOME and its kin lead to safe.directory, the rest is what Windows needs to start a program.
_INHERITED = ("HOME", "XDG_CONFIG_HOME", "USERPROFILE", "PROGRAMDATA", "SYSTEMROOT")


_TRUSTED_SCOPES = {"system", "global"}
_Settings = list[tuple[str, str, str]]


def _git(directory: Path) -> Facts:
    """Return commit, branch, state and remote of the repository that a folder is in; nothing without one."""
    deadline = time.monotonic() + _GIT_TOTAL_S
    program = _git_program()
    if program is None:
        return {}
    environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    environment |= _GIT_ENVIRONMENT | {"PATH": os.pathsep.join(_absolute_path())}

    def git(*arguments: str) -> str | None:
        return _output(
            [program, *_GIT_OPTIONS, *arguments],
            directory=directory,
            environment=environment,
            timeout_s=min(_GIT_CALL_S, deadline - time.monotonic()),
        )

    commit = (git("rev-parse", "--verify", "--quiet", "HEAD") or "").strip()
    branch = (git("symbolic-ref", "--quiet", "--short", "HEAD") or "").strip()
    if not commit and not branch:  # no repository, or one that git does not trust
        return {}
    settings = _settings(git("config", "-z", "--show-scope", "--list"))
    return _found(
        {
            "git.commit": lambda: commit,
            "git.branch": lambda: branch,
            "git.remote": lambda: _remote(settings),
            "git.dirty": lambda: _dirty(git, settings),
        }
    )


def _settings(listing: str | None) -> _Settings:
    """Return (scope, key, value) of what ``git config -z --show-scope`` printed."""
    fields = (listing or "").split("\0")[:-1]
    return [(scope, *line.partition("\n")[::2]) for scope, line in zip(fields[::2], fields[1::2], strict=True)]


def _remote(settings: _Settings) -> str | None:
    """Return where the repository came from, without credentials; None for a path of this machine."""
    urls = [
        (key, url)
        for scope, key, url in settings
        if key.startswith("remote.") and key.endswith(".url") and scope not in _TRUSTED_SCOPES
    ]
    urls.sort(key=lambda pair: pair[0] != "remote.origin.url")
    if not urls:
        return None
    url = without_credentials(urls[0][1])
    # A path on this machine tells colleagues nothing, and often names a person.
    head = url.partition("/")[0]
    is_path = ":" not in head or url[:5].lower() == "file:" or len(head.partition(":")[0]) == 1
    return None if is_path else url


def _dirty(git: Callable[..., str | None], settings: _Settings) -> str | None:
    """Tell whether tracked files differ from the commit, or nothing where asking could start a program.

    To compare a file whose time stamp changed, git runs the clean filter that its attributes name. Filters
    of the user's own or the system's configuration (git-lfs) are trusted, those of the repository are not.
    """
    filters = {scope for scope, key, _ in settings if key.startswith("filter.")}
    if not settings or filters - _TRUSTED_SCOPES:
        return None
    # "dirty": a submodule counts when its commit moved; to look at its files git would run itself inside
    # it, under the submodule's own configuration.
    changes = git("status", "--porcelain", "-z", "--untracked-files=no", "--ignore-submodules=dirty", "--no-renames")
    return None if changes is None else str(changes != "").lower()


def _absolute_path() -> list[str]:
    # A relative entry would mean "the git that lies in the repository".
    places = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return [place for place in places if Path(place).is_absolute()]


def _git_program() -> str | None:
    for place in _absolute_path():
        program = Path(place, "git.exe" if os.name == "nt" else "git")
        if program.is_file() and os.access(program, os.X_OK):
            return None if _is_apples_stub(program) else str(program)
    return None


def _is_apples_stub(program: Path) -> bool:
    # Without the developer tools, macOS's /usr/bin/git opens a dialog that offers to install them.
    tools = (Path("/Library/Developer/CommandLineTools"), Path("/Applications/Xcode.app"))
    is_stub = sys.platform == "darwin" and program == Path("/usr/bin/git")
    return is_stub and not any(tool.exists() for tool in tools)


def _output(command: list[str], *, directory: Path, environment: dict[str, str], timeout_s: float) -> str | None:
    """Return what a program printed; None when it failed, or when it and its children had to be killed."""
    import signal
    import subprocess

    if timeout_s <= 0:
        return None
    process = subprocess.Popen(
        command,
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # no terminal to ask on, and a group of its own to kill
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )
    try:
        printed, _ = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):  # stuck in a dead network drive: leave it behind
            process.wait(timeout=0.5)
        return None
    finally:
        if process.stdout is not None:
            process.stdout.close()
    return printed.decode("utf-8", "replace") if process.returncode == 0 else None
