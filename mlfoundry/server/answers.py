"""What the server answers, as the description of the interface says it. The answers themselves are made by `wire`.

Times are microseconds since 1970 (UTC). Ids of projects and keys have 63 bits: whoever reads JSON with doubles alone
must take care of them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Level = Literal["READ", "WRITE", "ADMIN"]
Status = Literal["SCHEDULED", "RUNNING", "FINISHED", "FAILED", "KILLED"]
Id63 = Annotated[int, Field(ge=0, lt=1 << 63)]
Count = Annotated[int, Field(ge=0)]
TimeUs = Annotated[int, Field(description="Microseconds since 1970 (UTC).")]
Number = Annotated[
    float | Literal["NaN", "Infinity", "-Infinity"], Field(description="What JSON has no number for is text.")
]
RunId = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
# Tuples by their length alone: not every reader of OpenAPI knows more of them.
Summary = Annotated[
    list[Number],
    Field(min_length=6, max_length=6, description="Count, last step, its time (µs), last value, least, greatest."),
]
Typed = Annotated[
    list[str],
    Field(min_length=2, max_length=2, description="Type in Python (str int float bool none json), value as text."),
]


class Told(BaseModel):
    """The ground of all answers: nothing is in one that is not said here."""

    model_config = ConfigDict(extra="forbid")


class Problem(Told):
    """What went wrong."""

    code: Annotated[str, Field(description="Which error it is: a name that programs can rely on.")]
    message: Annotated[str, Field(description="What happened, with the value that was given, and what to do next.")]
    request_id: Annotated[str, Field(description="Under which the server's log says more; also in X-Request-Id.")]
    expected: Annotated[int, Field(description="JournalGap: where the next batch begins.")] = 0
    got: Annotated[int, Field(description="JournalGap: where this batch began.")] = 0
    text: Annotated[str, Field(description="InvalidFilter: the whole text.")] = ""
    position: Annotated[int, Field(description="InvalidFilter: the first character that is not understood.")] = 0
    length: Annotated[int, Field(description="InvalidFilter: how many characters are meant.")] = 0


class Error(Told):
    """The one shape of every error."""

    error: Problem


class Health(Told):
    """That all is well."""

    status: Literal["ok"]


class WhoAmI(Told):
    """Whose key it is."""

    user: str
    is_admin: bool
    version: Annotated[str, Field(description="Of the server.")]
    key: Annotated[Key | None, Field(description="What is kept of the key that was shown; null for a browser.")]


class User(Told):
    """A user of the server."""

    user: str
    is_admin: bool
    created_at: TimeUs
    disabled_at: TimeUs | None


class Users(Told):
    """All users."""

    users: list[User]


class Key(Told):
    """What is kept of an API key."""

    key_id: Id63
    user: str
    label: str
    created_at: TimeUs
    expires_at: TimeUs | None
    revoked_at: TimeUs | None
    last_used_at: TimeUs | None


class MadeKey(Key):
    """A key that was made, and the key itself: it is told this once."""

    key: Annotated[str, Field(pattern="^mlf_[a-z2-7]{32}[0-9a-f]{8}$")]


class Keys(Told):
    """The keys of a user."""

    keys: list[Key]


class Project(Told):
    """A project as the caller sees it."""

    project_id: Id63
    owner: str
    name: str
    created_at: TimeUs
    permission: Annotated[Level, Field(description="The caller's.")]
    run_count: Count
    running_count: Count
    last_run_at: TimeUs | None
    collaborator_count: Count


class Projects(Told):
    """Projects, the one with the newest run first."""

    projects: list[Project]


class Names(Told):
    """Names of metrics, system metrics, params or tags."""

    keys: list[str]


class Collaborator(Told):
    """Somebody who has access."""

    user: str
    permission: Level
    is_owner: bool
    added_at: TimeUs


class Collaborators(Told):
    """Who has access, the owner first."""

    collaborators: list[Collaborator]


class Nothing(Told):
    """That it was done."""


class Run(Told):
    """A run with its values."""

    project_id: Id63
    run_id: RunId
    owner: str
    project_name: str
    run_name: str
    status: Status
    created_by: str
    started_at: TimeUs
    ended_at: TimeUs | None
    last_seen_at: TimeUs
    description: str
    error: str
    deleted_at: TimeUs | None
    params: dict[str, Typed]
    tags: dict[str, str]
    metrics: dict[str, Summary]


class RunPage(Told):
    """A page of runs."""

    runs: list[Run]
    next_cursor: Annotated[str | None, Field(description="Gives the next page; null after the last.")]
    hints: Annotated[list[str], Field(description="A sentence for each name asked for that no run has.")]


class Facts(Told):
    """What was captured of a run's surroundings."""

    facts: dict[str, str]


class Acked(Told):
    """Up to which slot a journal is held."""

    acked: Count


class Acknowledgement(Acked):
    """The same after a batch, and up to which slot even a loss of power takes nothing away."""

    settled: Count
    kept: Annotated[list[str], Field(description="Params that the run has with another value, which it keeps.")] = []


class Held(Told):
    """Up to which byte an upload is held."""

    offset: Count


class Artifact(Told):
    """A file of a run."""

    path: str
    size_bytes: Count
    sha256: Sha256
    created_at: TimeUs


class Artifacts(Told):
    """The files of a run, by path."""

    artifacts: list[Artifact]


def binary(media_type: str, says: str) -> dict[str, Any]:
    """Return how the description names bytes of a media type."""
    return {"description": says, "content": {media_type: {"schema": {"type": "string", "format": "binary"}}}}
