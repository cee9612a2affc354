"""Every error that MLFoundry raises, in one tree.

    MlfoundryError
    ├── InvalidInput            (also ValueError)  an argument that can never work
    │   ├── InvalidName                            a project, run, key or artifact name
    │   ├── InvalidValue                           a metric, param, tag or step value
    │   ├── InvalidFilter                          a filter or an order that cannot be read
    │   ├── TooLarge                               more at once than a server, or a proxy before it, takes
    │   └── InvalidSetting                         an environment variable or a settings file
    ├── ParamChanged            (also ValueError)  a param logged again with another value
    ├── NotFound                (also LookupError) no such thing, or no right to know of it
    │   ├── ProjectNotFound
    │   ├── RunNotFound
    │   ├── ArtifactNotFound
    │   ├── CollaboratorNotFound
    │   └── UserNotFound                           a server's user
    ├── PermissionDenied                           the caller lacks a level on a project it may see
    ├── NotAuthenticated                           no key, or one that the server does not take
    │   └── TooManyAttempts                        many such from one address; wait before the next
    ├── LastAdmin                                  the change would leave a project without an ADMIN
    ├── RunEnded                                   logging to a run after its end
    ├── RunReadOnly             (also AttributeError) logging through a handle that only reads
    ├── RunDeleted                                 data for a run or a project that was deleted
    ├── JournalGap                                 a batch that does not begin where the store stands
    ├── JournalReplaced                            a push that another has taken the place of
    ├── JournalUnreadable                          a journal that holds records this version cannot read
    ├── BackendUnavailable                         the store or the server cannot be reached now
    │   ├── StoreBusy                              another process kept the store locked
    │   └── WrongHash                              a file changed while it was sent
    ├── StoreTooNew                                the store was written by a newer version
    └── MissingExtra            (also ImportError) an optional package is needed and absent

A message says what happened, with the value that was given, and what to do next.
Everything else imports it, and it imports nothing of ours.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial


class MlfoundryError(Exception):
    """The base of every error that MLFoundry raises on purpose."""


class InvalidInput(MlfoundryError, ValueError):
    """An argument that can never work, however often it is tried."""


class InvalidName(InvalidInput):
    """A project, run, key, tag or artifact name that is not legal."""


class InvalidValue(InvalidInput):
    """A metric, param, tag, step or timestamp that cannot be kept."""


class InvalidFilter(InvalidInput):
    """A filter or an order that cannot be read.

    Attributes:
        text: The whole filter as given.
        position: Index in ``text`` of the first character that is not understood.
        length: How many characters are meant, at least 1.
    """

    def __init__(self, message: str, *, text: str = "", position: int = 0, length: int = 1) -> None:
        super().__init__(message)
        self.text = text
        self.position = position
        self.length = max(1, length)

    def __str__(self) -> str:
        message = str(self.args[0])
        if not self.text or "\n" in self.text:
            return message
        return f"{message}\n  {self.text}\n  {' ' * self.position}{'^' * self.length}"


class TooLarge(InvalidInput):
    """More at once than a server, or a proxy before it, takes."""


class InvalidSetting(InvalidInput):
    """An environment variable or a line of the settings file that cannot be used."""


class ParamChanged(MlfoundryError, ValueError):
    """A param was logged before with another value; params do not change.

    Attributes:
        name: The param.
        held: The text of the value that it has.
    """

    def __init__(self, name: str, old: object, new: object) -> None:
        super().__init__(
            f"param {name!r} is {_brief(old)} already and cannot become {_brief(new)}: params do not change "
            "during a run. Log the new value under another name, or as a tag, or start a new run."
        )
        self.name, self.held, self._given = name, str(old), (name, old, new)

    def __reduce__(self) -> tuple[type[ParamChanged], tuple[str, object, object]]:
        return type(self), self._given


class NotFound(MlfoundryError, LookupError):
    """There is no such thing, or the caller has no right to know of it."""


class ProjectNotFound(NotFound):
    """No project of this owner and name that the caller may see."""


class RunNotFound(NotFound):
    """No run of this id or name that the caller may see."""


class ArtifactNotFound(NotFound):
    """The run has no artifact at this path."""


class CollaboratorNotFound(NotFound):
    """The user is not a collaborator of the project."""


class UserNotFound(NotFound):
    """The server has no user of this name."""


class PermissionDenied(MlfoundryError):
    """The caller may see the project but lacks the level that the action needs."""


class NotAuthenticated(MlfoundryError):
    """No API key was given, or the server does not take it."""


class TooManyAttempts(NotAuthenticated):
    """Many keys that are not taken came from one address; a key that is taken is answered all the same.

    Attributes:
        retry_after_s: Seconds to wait before the next try.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class LastAdmin(MlfoundryError):
    """The change would leave the project without anybody of level ADMIN."""


class RunEnded(MlfoundryError):
    """The run has ended; nothing more can be logged to it through this handle."""


class RunReadOnly(MlfoundryError, AttributeError):
    """The handle only reads; ``client.join_run`` gives one that logs."""


class RunDeleted(MlfoundryError):
    """The run or its project was deleted; its data is no longer taken."""


class JournalGap(MlfoundryError):
    """A batch does not begin where the store stands.

    Attributes:
        expected: The offset, in slots, at which the store wants the next batch to begin.
    """

    def __init__(self, *, expected: int, got: int) -> None:
        super().__init__(f"the store holds this journal up to slot {expected}, the batch begins at {got}")
        self.expected = expected
        self.got = got

    def __reduce__(self) -> tuple[Callable[..., JournalGap], tuple[()]]:
        return partial(JournalGap, expected=self.expected, got=self.got), ()


class JournalReplaced(MlfoundryError):
    """A push of the run that another push has taken the place of: nothing more of it is taken."""

    def __init__(self, message: str = "another push of it has begun meanwhile; push again when that is over") -> None:
        super().__init__(message)


class JournalUnreadable(MlfoundryError):
    """A journal holds records that this version cannot read."""


class BackendUnavailable(MlfoundryError):
    """The store or the server cannot be reached now; trying again later may work.

    Attributes:
        retry_after_s: Seconds to wait before the next try, when the other side said so.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class StoreBusy(BackendUnavailable):
    """Other processes kept the store locked for longer than the time-out.

    Attributes:
        gave_way: Whether all was undone so that another transaction could go on: it can be tried again at once.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None, gave_way: bool = False) -> None:
        super().__init__(message, retry_after_s=retry_after_s)
        self.gave_way = gave_way


class WrongHash(BackendUnavailable):
    """The bytes of a file are not those that were announced: it changed, or its beginning came from elsewhere.

    Nothing of them was kept, so that the whole file can be sent again.
    """


class StoreTooNew(MlfoundryError):
    """The store was written by a newer version of MLFoundry than this one."""


class MissingExtra(MlfoundryError, ImportError):
    """An optional package is needed for this and is not installed."""

    def __init__(self, package: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs {package}, which is not installed. Run: pip install {package}")
        self.package, self.purpose = package, purpose

    def __reduce__(self) -> tuple[type[MissingExtra], tuple[str, str]]:
        return type(self), (self.package, self.purpose)


def _brief(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 80 else text[:79] + "…"


def quoted(text: str) -> str:
    """Return a text for a message, in quotes, in at most 80 characters of one line."""
    return _line(repr(text))


def shown(value: object) -> str:
    """Return a value for a message, in at most 80 characters of one line, and its type's name."""
    try:
        text = repr(value)
    except Exception as error:  # a stranger's __repr__ may raise anything at all
        text = f"<no repr: {type(error).__name__}>"
    return f"{_line(text)} ({type(value).__name__})"


def _line(text: str) -> str:
    text = " ".join(text.splitlines())
    return text if len(text) <= 80 else text[:79] + "…"
