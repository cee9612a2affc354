"""What a user can set: arguments, then environment variables, then a file, then defaults.

Resolved when a client is made, never at import. The file is ``settings.toml`` in the folder that
`settings_file` names, with the names of `SETTINGS` as keys.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import re
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from . import credentials, folders
from .errors import InvalidName, InvalidSetting, quoted, shown
from .log import Log
from .names import legal_name

_log = Log("mlfoundry")

# name: (environment variable, default, what it means); `mlfoundry doctor` and the docs print this table.
SETTINGS: dict[str, tuple[str, object, str]] = {
    "home": ("MLFOUNDRY_HOME", None, "Folder of the embedded store; the platform's data folder when not set."),
    "tracking_uri": (
        "MLFOUNDRY_TRACKING_URI",
        None,
        "Where runs are kept: a folder, file:///… or the https://… of a server; host when not set.",
    ),
    "host": (
        "MLFOUNDRY_HOST",
        None,
        "Address of a server, https:// if it does not say; the one that `mlfoundry login` kept if not set, else home.",
    ),
    "api_key": ("MLFOUNDRY_API_KEY", None, "Key for a server; the one that `mlfoundry login` kept when not set."),
    "user": ("MLFOUNDRY_USER", None, "Name to work under in the embedded store; the login name when not set."),
    "system_metrics": ("MLFOUNDRY_SYSTEM_METRICS", True, "Whether runs sample the machine."),
    "system_metrics_interval_s": ("MLFOUNDRY_SYSTEM_METRICS_INTERVAL", 1.0, "Seconds between samples, 0.1 to 3600."),
    "capture": ("MLFOUNDRY_CAPTURE", True, "Whether runs record git, Python, packages and hardware."),
    "end_timeout_s": ("MLFOUNDRY_END_TIMEOUT", 10.0, "Seconds that the end of a run may wait for the store."),
    "panel": ("MLFOUNDRY_PANEL", True, "Whether `%%mlfoundry_run` shows the live panel of its run."),
    "cell_source": ("MLFOUNDRY_CELL_SOURCE", True, "Whether runs of cells keep their source, secrets masked."),
    "cell_params": ("MLFOUNDRY_CELL_PARAMS", True, "Whether literals that a cell assigns become params of its run."),
    "cell_changes": ("MLFOUNDRY_CELL_CHANGES", True, "Whether runs of cells record what changed since the last run."),
    "cell_cost": ("MLFOUNDRY_CELL_COST", True, "Whether runs of cells record CPU, memory and GPU memory of each."),
}


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one client, see `SETTINGS`."""

    home: Path
    tracking_uri: str
    host: str | None
    api_key: str | None
    user: str
    system_metrics: bool
    system_metrics_interval_s: float
    capture: bool
    end_timeout_s: float
    panel: bool
    cell_source: bool
    cell_params: bool
    cell_changes: bool
    cell_cost: bool
    user_of_key: str | None = None

    @property
    def folder(self) -> Path:
        """The folder of the embedded store; for a server, the one where journals wait for it."""
        if self.is_server:
            mark = hashlib.sha256(self.tracking_uri.encode()).hexdigest()[:16]
            return self.home / "servers" / mark
        return _folder(self.tracking_uri)

    @property
    def is_server(self) -> bool:
        """Whether `tracking_uri` means a server."""
        return credentials.is_address(self.tracking_uri)

    def journal_roots(self) -> list[Path]:
        """Return where journals may lie, the best place first: the store's folder, else a temporary one.

        The temporary one is left out when it is not this account's own.
        """
        temporary = _temporary_journals()
        if temporary is None:
            return [self.folder / "journals"]
        mark = hashlib.sha256(str(self.folder).encode()).hexdigest()[:16]
        return [self.folder / "journals", temporary / mark]

    def journal_roots_of_others(self) -> list[Path]:
        """Return the temporary folders of journals of other stores of this account."""
        temporary = _temporary_journals()
        try:
            places = [] if temporary is None else sorted(temporary.iterdir())
        except OSError:  # there is none
            places = []
        return [place for place in places if place not in self.journal_roots()]

    def require_folder(self) -> None:
        """Make sure that no file is where the store's folder, or one above it, was said to be.

        Raises:
            InvalidSetting: There is one.
        """
        if self.folder == _platform_home():  # nobody said so; runs begin all the same
            return
        for place in (self.folder, *self.folder.parents):
            try:
                kind = place.stat().st_mode
            except (FileNotFoundError, NotADirectoryError):  # one of those above it may be the file
                continue
            except OSError:
                return
            if stat.S_ISREG(kind):
                raise InvalidSetting(f"runs are kept in a folder, and {self.folder} cannot be one: {place} is a file")
            return

    def renewed_key(self) -> str | None:
        """Return the key that ``mlfoundry login`` has kept by now, when the one in use came from there as well.

        None when it is another user's: what was logged goes under the name that it was logged under.
        """
        kept = credentials.Credentials(settings_file().parent)
        if self.user_of_key is None or kept.user(self.tracking_uri) != self.user_of_key:
            return None
        return kept.key(self.tracking_uri)

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        """Leave the key out: whoever unpickles takes the one that they have, see `_unpickled`."""
        told = {field.name: getattr(self, field.name) for field in fields(self)}
        return _unpickled, ({**told, "api_key": None, "user_of_key": None}, self.api_key and _mark(self.api_key))

    def __copy__(self) -> Settings:
        return self

    def __deepcopy__(self, _memo: object) -> Settings:
        return self

    def __repr__(self) -> str:
        shown = {name: getattr(self, name) for name in SETTINGS if name != "api_key"}
        key = "set" if self.api_key else "not set"
        return f"Settings({', '.join(f'{name}={value!s}' for name, value in shown.items())}, api_key={key})"


# Keys that were given as arguments, by server and mark: for what is unpickled in this process or in one that it forks.
_given_keys: dict[tuple[str, str], str] = {}


def _mark(api_key: str) -> str:
    """Return what tells keys apart and gives nothing of them away, for they are long and random."""
    import hashlib

    return hashlib.sha256(b"mlfoundry key " + api_key.encode()).hexdigest()


def _unpickled(told: dict[str, Any], mark: str | None) -> Settings:
    """Return settings as they were pickled, with their key where it was given, else with this process's, if any."""
    made = Settings(**told)
    if not made.is_server:
        return made
    if mark is not None and (given := _given_keys.get((made.tracking_uri, mark))) is not None:
        return replace(made, api_key=given)
    here = resolve(tracking_uri=made.tracking_uri)
    return replace(made, api_key=here.api_key, user_of_key=here.user_of_key)


def resolve(environment: Mapping[str, str] | None = None, **given: Any) -> Settings:
    """Return the settings from arguments (None is "not given"), environment, file and defaults.

    Raises:
        InvalidSetting: A value cannot be used; says where it came from.
    """
    environment = os.environ if environment is None else environment
    _tell_slips(environment)
    values: dict[str, Any] = {}
    from_file = _read_file(environment)
    for name, (variable, default, _) in SETTINGS.items():
        if given.get(name) is not None:
            source, value = f"argument {name}", given[name]
        elif environment.get(variable):
            source, value = variable, environment[variable]
        elif name in from_file:
            source, value = f"{settings_file(environment)}: {name}", from_file[name]
        else:
            source, value = "default", default
        values[name] = _typed(name, value, default, source)
    values["home"] = _absolute(values["home"], "home") if values["home"] else _platform_home()
    kept = credentials.Credentials(settings_file(environment).parent)
    if given.get("home") is not None:  # the more so than any server that was set for other programs
        values["tracking_uri"] = values["tracking_uri"] or str(values["home"])
    values["tracking_uri"] = values["tracking_uri"] or values["host"] or kept.default_host() or str(values["home"])
    if credentials.is_address(values["tracking_uri"]):
        values["tracking_uri"] = credentials.address(values["tracking_uri"])
        values["api_key"] = values["api_key"] or kept.key(values["tracking_uri"])
        is_kept = values["api_key"] is not None and values["api_key"] == kept.key(values["tracking_uri"])
        values["user_of_key"] = kept.user(values["tracking_uri"]) if is_kept else None
    values["user"] = values["user"] or _login_name()
    if given.get("api_key") is not None and values["api_key"]:
        _given_keys[values["tracking_uri"], _mark(values["api_key"])] = values["api_key"]
    return Settings(**values)


_OTHER_VARIABLES = ("MLFOUNDRY_TRACEBACK", "MLFOUNDRY_SERVER_DATABASE", "MLFOUNDRY_SERVER_ARTIFACTS")
_slips_told: set[str] = set()


def _tell_slips(environment: Mapping[str, str]) -> None:
    """Warn, once a process, of a variable that sets nothing and looks like one that does."""
    known = [*(variable for variable, _, _ in SETTINGS.values()), *_OTHER_VARIABLES]
    for name in environment:
        if not name.startswith("MLFOUNDRY_") or name in known or name in _slips_told:
            continue
        import difflib

        _slips_told.add(name)
        for near in difflib.get_close_matches(name, known, n=1, cutoff=0.9):  # they all begin alike
            _log.warning("The variable %s sets nothing. Did you mean %s?", name, near)


def _temporary_journals() -> Path | None:
    """Return where journals go while their stores cannot be written; None when that is not this account's own."""
    temporary = Path(tempfile.gettempdir()) / f"mlfoundry-{os.getuid()}"
    if (temporary.exists() or temporary.is_symlink()) and not folders.is_own(temporary):
        return None
    return temporary / "journals"


def settings_file(environment: Mapping[str, str] | None = None) -> Path:
    """Return where the settings file is looked for."""
    environment = os.environ if environment is None else environment
    if environment.get("MLFOUNDRY_HOME"):
        return Path(environment["MLFOUNDRY_HOME"]).expanduser() / "settings.toml"
    import platformdirs

    return platformdirs.user_config_path("mlfoundry") / "settings.toml"


def _platform_home() -> Path:
    import platformdirs

    return platformdirs.user_data_path("mlfoundry")


def _read_file(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return what the settings file sets; nothing when there is none."""
    path = settings_file(environment)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:  # there is none, or it is not for us to read
        return {}
    except UnicodeDecodeError as error:
        raise InvalidSetting(f"{path} is no UTF-8 text ({error})") from error
    import tomllib

    try:
        values = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InvalidSetting(f"{path} is no TOML: {error}") from error
    unknown = sorted(set(values) - set(SETTINGS))
    if unknown:
        raise InvalidSetting(f"{path} sets {', '.join(unknown)}, which is none of: {', '.join(SETTINGS)}")
    return values


def _typed(name: str, value: Any, default: object, source: str) -> Any:
    """Return a setting as the type that it has, checked; `source` is for the message."""
    if value is None:
        return None
    if isinstance(default, bool):
        return switch(source, value, default)
    if isinstance(default, float):
        return seconds(name, value, source)
    if name == "user":
        try:
            return legal_name("user name", value)
        except InvalidName as error:
            raise InvalidSetting(f"{source}: {error}") from error
    if not isinstance(value, str | bytes | os.PathLike):
        told = type(value).__name__ if name == "api_key" else shown(value)
        raise InvalidSetting(f"{source} is {told}; give text")
    text = os.fsdecode(value)
    if name != "api_key":
        _require_utf8(text, source)
    if name == "api_key":
        return credentials.api_key(text, source) or None
    if "\0" in text:
        raise InvalidSetting(f"{source} holds a NUL character")
    if name == "host" or (name == "tracking_uri" and credentials.is_address(text)):
        return credentials.address(text, source)
    if name == "tracking_uri":
        _folder(text, source)
    return text


def switch(source: str, value: object, default: bool) -> bool:
    """Return whether something is on; `default` when nothing is given.

    Raises:
        InvalidSetting: It is neither on nor off.
    """
    if value is None:
        return default
    text = str(value).strip().lower()
    if text not in ("1", "true", "yes", "on", "0", "false", "no", "off"):
        raise InvalidSetting(f"{source} is {value!r}; give 1 or 0 (true/false, yes/no, on/off)")
    return text in ("1", "true", "yes", "on")


def seconds(name: str, value: Any, source: str = "") -> float:
    """Return a setting in seconds.

    Raises:
        InvalidSetting: It is none, or out of range.
    """
    least, most = (0.1, 3600.0) if name == "system_metrics_interval_s" else (0.0, 86400.0)
    try:
        given = float(value)
    except (TypeError, ValueError, OverflowError):
        given = -1.0
    if isinstance(value, bool) or not least <= given <= most:
        raise InvalidSetting(f"{source or name} is {shown(value)}; give seconds from {least:g} to {most:g}")
    return given


_HOST_AND_PORT = re.compile(r"[A-Za-z0-9.-]+:[0-9]{1,5}(/|$)")
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
# A name as servers have it: three parts or more, the last of letters, or four numbers. Folders are like `runs.db`.
_HOST = re.compile(rf"({_LABEL}\.){{2,}}[A-Za-z]{{2,}}(/|$)|([0-9]{{1,3}}\.){{3}}[0-9]{{1,3}}(/|$)")


def _folder(uri: str, source: str = "tracking_uri") -> Path:
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", uri):
        parts = urlsplit(uri)
        if parts.scheme != "file" or parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
            raise InvalidSetting(f"{source} is {uri!r}; give a path, file:///path or the https:// address of a server")
        return Path(unquote(parts.path))
    if (_HOST_AND_PORT.match(uri) or _HOST.match(uri)) and not Path(uri).exists():
        raise InvalidSetting(f"{source} is {uri!r}; write http://{uri} for a server, or ./{uri} for a folder")
    return _absolute(uri, source)


def _absolute(path: str, source: str) -> Path:
    try:
        found = Path(path).expanduser().absolute()
    except (OSError, RuntimeError) as error:  # the current folder was deleted; nobody's home is known
        raise InvalidSetting(
            f"{source} is {path!r}, and where that is cannot be told ({error}); give the whole path"
        ) from error
    _require_utf8(str(found), source)
    return found


def _require_utf8(text: str, source: str) -> None:
    """Make sure that a place can be written down, as SQLite and JSON do: Unix takes any bytes for the name of one."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidSetting(
            f"{source} is {quoted(text)}, which is no UTF-8 text; runs cannot be kept there"
        ) from error


def _login_name() -> str:
    try:
        return legal_name("user name", getpass.getuser())
    except (KeyError, OSError, InvalidName):  # an account without an entry in passwd, in a container
        return f"uid-{os.getuid()}"
