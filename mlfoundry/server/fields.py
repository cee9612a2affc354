"""What may stand in a request, as the description of the interface says it.

Most of it is only said here: the rules check it, for every way to a store alike, and their messages say more.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import Field

from ..names import KEY_LIMIT, NAME_LIMIT, PATH_LIMIT
from ..query.tokens import MAX_TEXT
from ..records import LEAST_POINTS, PAGE_LIMIT, Permission
from ..store.keys import KINDS
from ..store.parts import SIZE_LIMIT_BYTES
from ..store.search import NAMES_LIMIT
from ..tracking.accounts import LABEL_LIMIT
from ..tracking.reading import SERIES_LIMIT
from ..values import TEXT_LIMIT

_ID: dict[str, Any] = {"minimum": 0, "exclusiveMaximum": 1 << 63}
_NAME: dict[str, Any] = {"minLength": 1, "maxLength": NAME_LIMIT}
_PATH: dict[str, Any] = {"minLength": 1, "maxLength": PATH_LIMIT}
_RUN_ID: dict[str, Any] = {"pattern": "^[0-9a-f]{32}$"}
_SHA256: dict[str, Any] = {"pattern": "^[0-9a-f]{64}$"}
_KIND: dict[str, Any] = {"enum": list(KINDS)}
_SIZE: dict[str, Any] = {"minimum": 0, "maximum": SIZE_LIMIT_BYTES}
_LEVEL: dict[str, Any] = {"enum": list(Permission.__members__)}

# In paths. An id that can be none is a thing that there is not: 404, not 400.
ProjectId = Annotated[int, Path(json_schema_extra=_ID)]
RunId = Annotated[str, Path(json_schema_extra=_RUN_ID)]
JournalId = Annotated[int, Path(ge=0, lt=1 << 63)]
PathSha256 = Annotated[str, Path(json_schema_extra=_SHA256)]

# In queries.
QueryName = Annotated[str, Query(json_schema_extra=_NAME)]
QueryPath = Annotated[str, Query(json_schema_extra=_PATH)]
Kind = Annotated[str, Query(json_schema_extra=_KIND)]
Size = Annotated[int, Query(ge=0, json_schema_extra={"maximum": SIZE_LIMIT_BYTES})]
Offset = Annotated[int, Query(ge=0, json_schema_extra={"maximum": SIZE_LIMIT_BYTES})]

# In bodies.
Name = Annotated[str, Field(json_schema_extra=_NAME)]
Key = Annotated[str, Field(json_schema_extra={"minLength": 1, "maxLength": KEY_LIMIT})]
Text = Annotated[str, Field(json_schema_extra={"maxLength": TEXT_LIMIT})]
Label = Annotated[str, Field(json_schema_extra={"maxLength": LABEL_LIMIT})]
BodyPath = Annotated[str, Field(json_schema_extra=_PATH)]
BodyRunId = Annotated[str, Field(json_schema_extra=_RUN_ID)]
BodySha256 = Annotated[str, Field(json_schema_extra=_SHA256)]
BodySize = Annotated[int, Field(json_schema_extra=_SIZE)]
BodyId = Annotated[int, Field(json_schema_extra=_ID)]
BodyIdText = Annotated[str, Field(pattern="^[0-9]{1,19}$")]
Level = Annotated[str, Field(json_schema_extra=_LEVEL)]
TimeUs = Annotated[int, Field(description="Microseconds since 1970 (UTC).")]
Seconds = Annotated[float, Field(json_schema_extra={"exclusiveMinimum": 0, "maximum": 10 * 366 * 86_400})]
Filter = Annotated[str, Field(json_schema_extra={"maxLength": MAX_TEXT})]
PageSize = Annotated[int, Field(json_schema_extra={"minimum": 1, "maximum": PAGE_LIMIT})]
Skipped = Annotated[int, Field(json_schema_extra={"minimum": 0, "maximum": (1 << 53) - 1})]
View = Annotated[str, Field(json_schema_extra={"enum": ["active", "deleted", "all"]})]
Wanted = Annotated[list[str], Field(json_schema_extra={"maxItems": NAMES_LIMIT})]
SeriesNames = Annotated[list[str], Field(json_schema_extra={"maxItems": SERIES_LIMIT})]
MaxPoints = Annotated[int, Field(json_schema_extra={"minimum": LEAST_POINTS})]
Most = Annotated[int, Field(json_schema_extra={"minimum": 1})]
Since = Annotated[int, Field(json_schema_extra={"minimum": 0})]
