"""Every event type of the log: its data, its current version, what is allowed in each field.

A field that is not listed is kept as it came. `null` and absent mean the same, except for
`parent_turn_id` (absent: continue the shown branch; null: start a new root).
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, model_validator

from turnlog_schemas.ids import ID_PATTERN, MAX_TEXT_ID

Role = Literal["system", "developer", "user", "assistant", "tool", "agent"]
Visibility = Literal["private", "tenant"]
TitleSource = Literal["user", "model"]

MAX_EVENT_BYTES = 1024 * 1024
MAX_BATCH_EVENTS = 1000
MAX_VERSION = 10_000
MAX_BATCH_BYTES = 8 * 1024 * 1024
TYPE_PATTERN = r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$"


def _no_nul(value: str) -> str:
    if "\0" in value:
        raise ValueError("holds the character U+0000, which a database column cannot keep")
    return value


Id = Annotated[str, Field(pattern=ID_PATTERN)]
TextId = Annotated[str, Field(min_length=1, max_length=MAX_TEXT_ID), AfterValidator(_no_nul)]
Name = Annotated[str, Field(max_length=512), AfterValidator(_no_nul)]
Title = Annotated[str, Field(min_length=1, max_length=1000)]
Reason = Annotated[str, Field(max_length=2000)]
Count = Annotated[int, Field(ge=0, le=2**53)]
JsonObject = dict[str, JsonValue]


class _Data(BaseModel):
    # JSON has no infinity, but a number too large for a float is read as one.
    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)


class Actor(_Data):
    """Who caused an event: `kind` is user, assistant, agent (a human one), service or your own."""

    __pydantic_extra__: dict[str, JsonValue] = Field(init=False)  # pyright: ignore[reportIncompatibleVariableOverride]

    kind: Annotated[str, Field(min_length=1, max_length=64)]
    id: TextId | None = None
    name: Name | None = None


class Artifact(_Data):
    """Something rendered beside a turn, by reference: its bytes live elsewhere."""

    __pydantic_extra__: dict[str, JsonValue] = Field(init=False)  # pyright: ignore[reportIncompatibleVariableOverride]

    id: Annotated[str, Field(min_length=1, max_length=512)]
    kind: Name | None = None
    mime: Name | None = None
    size: Count | None = None
    url: Annotated[str, Field(max_length=8192)] | None = None
    name: Name | None = None


class Usage(_Data):
    """Tokens spent; any further integer counter up to 2**53 is summed as well."""

    __pydantic_extra__: dict[str, JsonValue] = Field(init=False)  # pyright: ignore[reportIncompatibleVariableOverride]

    input_tokens: Count | None = None
    output_tokens: Count | None = None


class SessionStarted(_Data):
    """A session begins; the first event of its stream when the producer knows the user."""

    user_id: TextId | None = None
    project: TextId | None = None
    title: Title | None = None
    visibility: Visibility | None = None
    metadata: JsonObject | None = None


class SessionUpdated(_Data):
    """Any of the fields below changes. `metadata` is merged key by key; a null value removes the
    key. `branch` chooses the branch that is shown."""

    title: Title | None = None
    title_source: TitleSource | None = None
    project: TextId | None = None
    visibility: Visibility | None = None
    metadata: JsonObject | None = None
    archived: bool | None = None
    pinned: bool | None = None
    branch: Id | None = None


class SessionCleared(_Data):
    """Hides the turns so far; they stay in the log."""


class SessionDeleted(_Data):
    """Soft delete: the session leaves every list until it is restored."""


class SessionRestored(_Data):
    """Undoes a soft delete; what was appended in between is shown."""


class SessionErased(_Data):
    """The tombstone of a session: nothing is accepted after it, and nothing of what was before it
    stays but that there was something."""


class TurnStarted(_Data):
    """A streamed turn has begun; its text is not yet known."""

    turn_id: Id
    role: Role
    name: Name | None = None
    model: Name | None = None
    parent_turn_id: Id | None = None
    metadata: JsonObject | None = None


class TurnAppended(_Data):
    """A whole turn."""

    turn_id: Id
    role: Role
    content: str | list[JsonObject] | None = None
    name: Name | None = None
    tool_calls: list[JsonObject] | None = None
    tool_call_id: Name | None = None
    artifacts: list[Artifact] | None = None
    model: Name | None = None
    usage: Usage | None = None
    response_time_ms: Annotated[float, Field(ge=0, le=2**53)] | None = None
    parent_turn_id: Id | None = None
    metadata: JsonObject | None = None


class TurnCompleted(TurnAppended):
    """The end of a streamed turn, with everything it holds; replaces what an interruption left."""


class TurnInterrupted(TurnAppended):
    """A streamed turn ended early: the partial text and why."""

    reason: Reason | None = None


class TurnEdited(_Data):
    """New content for a turn; the former one stays as a revision."""

    turn_id: Id
    content: str | list[JsonObject] | None
    reason: Reason | None = None


class TurnRetracted(_Data):
    """Takes a turn out of histories, counts and search; it stays in the log."""

    turn_id: Id
    reason: Reason | None = None


class TurnErased(_Data):
    """Everything that was written in a turn is removed for good, from the log as well."""

    turn_id: Id
    reason: Reason | None = None


class TurnAnnotated(_Data):
    """A rating (one a person: the newest counts, null takes it back), a reaction (one a person and
    value) or a comment. `remove` takes an equal reaction or comment of the same person back."""

    turn_id: Id
    kind: Literal["rating", "reaction", "comment"]
    value: bool | int | float | str | None = None
    by: TextId | None = None
    remove: bool | None = None

    @model_validator(mode="after")
    def _value_fits_kind(self) -> "TurnAnnotated":
        if self.kind == "rating":
            if isinstance(self.value, str):
                raise ValueError("the value of a rating is a number, true, false or null")
        elif not isinstance(self.value, str) or not self.value:
            raise ValueError(f"the value of a {self.kind} is a text")
        return self


EVENT_TYPES: dict[str, type[BaseModel]] = {
    "session.started": SessionStarted,
    "session.updated": SessionUpdated,
    "session.cleared": SessionCleared,
    "session.deleted": SessionDeleted,
    "session.restored": SessionRestored,
    "session.erased": SessionErased,
    "turn.appended": TurnAppended,
    "turn.started": TurnStarted,
    "turn.completed": TurnCompleted,
    "turn.interrupted": TurnInterrupted,
    "turn.edited": TurnEdited,
    "turn.retracted": TurnRetracted,
    "turn.erased": TurnErased,
    "turn.annotated": TurnAnnotated,
}
"""The data of each event type, in its current version."""

CURRENT_VERSION: dict[str, int] = dict.fromkeys(EVENT_TYPES, 1)
"""The version that producers write; `upcast.py` lifts older ones to it."""


class Envelope(BaseModel):
    """What is stored for an event: the JSON object in field `e` of its stream entry."""

    model_config = ConfigDict(extra="allow", strict=True)

    event_id: Id
    type: Annotated[str, Field(pattern=TYPE_PATTERN, max_length=64)]
    version: Annotated[int, Field(ge=1, le=MAX_VERSION)]
    at: str
    actor: Actor | None = None
    data: dict[str, Any]
    trace: JsonObject | None = None
