"""The bodies of requests, and of answers as the documentation shows them.

Answers are not built from these models: they come from Postgres as ready bytes. A test compares the
two.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from turnlog_schemas.events import (
    Actor,
    Artifact,
    Id,
    JsonObject,
    Reason,
    Role,
    TextId,
    Title,
    TitleSource,
    Usage,
    Visibility,
)
from turnlog_schemas.limits import NewTurnAppended, SessionMetadata

Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class _Shown(BaseModel):
    model_config = ConfigDict(extra="forbid")


class LastTurn(_Shown):
    role: Role
    preview: Annotated[str, Field(max_length=160)]
    at: Moment


class Session(_Shown):
    """A session after the event `seq`. Times are UTC."""

    session_id: Id
    user_id: str | None
    project: str | None
    title: str | None
    title_source: Annotated[
        str | None, Field(description="user, model, or turn: made from the first user turn")
    ]
    visibility: Visibility
    created_at: Moment
    updated_at: Moment
    turn_count: Annotated[int, Field(description="Visible turns, over all branches.")]
    last_turn: LastTurn | None
    usage: Annotated[dict[str, int], Field(description="Tokens spent; never reduced.")]
    branch_id: Annotated[str | None, Field(description="The branch that is shown.")]
    archived: bool
    pinned: bool
    deleted: bool
    metadata: JsonObject
    seq: int


class Turn(_Shown):
    """A turn; `seq` is that of the event it began with. A retracted one is a stub."""

    turn_id: Id
    seq: int
    role: Role
    content: str | list[JsonObject] | None
    name: str | None
    tool_calls: list[JsonObject] | None
    tool_call_id: str | None
    artifacts: list[Artifact] | None
    model: str | None
    usage: Usage | None
    response_time_ms: float | None
    parent_turn_id: str | None
    branch_id: str
    status: Literal["complete", "streaming", "interrupted", "retracted"]
    reason: str | None
    edited: bool
    annotations: list[JsonObject]
    actor: Actor | None
    at: Moment
    recorded_at: Moment
    metadata: JsonObject | None


class _Page(_Shown):
    next_cursor: Annotated[str | None, Field(description="Send it as `cursor` for the next page.")]
    has_more: bool


class SessionPage(_Page):
    items: list[Session]


class TurnPage(_Page):
    items: list[Turn]
    total_count: Annotated[int, Field(description="Visible turns of the branch, on all pages.")]


class Project(_Shown):
    """A project; null: the sessions without one. `updated_at` is that of its newest session."""

    project: str | None
    session_count: int
    turn_count: Annotated[int, Field(description="Visible turns of all its sessions.")]
    updated_at: Moment


class ProjectPage(_Page):
    items: list[Project]


class StoredEvent(BaseModel):
    """An event as it is stored, with its place in the log. Bytes that are no event stand in
    `base64`, with a `note`."""

    model_config = ConfigDict(extra="allow")

    event_id: str
    type: str = ""
    version: int = 1
    at: str = ""
    actor: Actor | None = None
    data: JsonObject = {}
    seq: int
    recorded_at: Moment
    repeat_of: Annotated[
        int | None, Field(description="The seq of an earlier event with the same id.")
    ] = None
    erased: Annotated[
        int | None, Field(description="Of a stub: the seq of the event that erased the rest.")
    ] = None
    base64: str = ""
    note: str = ""


class EventPage(_Page):
    items: list[StoredEvent]


class Revision(_Shown):
    """What event `seq` did to a turn: the fields that it changed, as they were and as they are
    since. `type` is that of the event."""

    turn_id: Id
    seq: int
    type: str
    reason: str | None
    before: JsonObject
    after: JsonObject
    at: Moment
    actor: Actor | None


class RevisionPage(_Page):
    items: list[Revision]


class TitleChange(_Shown):
    """A title that the session had from event `seq` on, and the one that it replaced; one that was
    made from a turn names it."""

    seq: int
    title: str
    before: str | None
    source: Annotated[str, Field(description="user, model, or turn: made from the first user turn")]
    turn_id: str | None
    at: Moment
    actor: Actor | None


class TitlePage(_Page):
    items: list[TitleChange]


class Branch(_Shown):
    """A branch; `actor` has begun it, with the turn `first_seq`. `path` lists which turns its
    history takes from which branch, oldest first: up to which seq, null for all."""

    branch_id: str
    parent_branch_id: str | None
    fork_seq: Annotated[int, Field(description="The turn of its parent that it follows; 0: none.")]
    first_seq: int
    tip_turn_id: Annotated[str, Field(description="Its newest turn.")]
    path: list[tuple[str, int | None]]
    created_at: Moment
    actor: Actor | None
    shown: bool


class BranchPage(_Page):
    items: list[Branch]


class Export(_Shown):
    """An export as it stands. `done` of `total` turns are written, in jsonl events; so are
    `sessions` of `total_sessions`. `missing`: named sessions that the caller may not see."""

    export_id: Id
    state: Literal["waiting", "running", "done", "failed", "expired"]
    format: Literal["jsonl", "json", "csv", "md"]
    options: Annotated[JsonObject, Field(description="What was asked for.")]
    requested_by: str
    requested_at: Moment
    started_at: Moment | None
    ended_at: Moment | None
    expires_at: Annotated[Moment | None, Field(description="When the file is removed.")]
    attempts: Annotated[int, Field(description="How often it was begun.")]
    sessions: int
    total_sessions: int
    missing: int
    done: int
    total: int
    bytes: Annotated[int, Field(description="Of the file, so far.")]
    file: Annotated[str | None, Field(description="Where the file is.")]
    error: str | None


class ExportPage(_Page):
    """Exports, the newest first."""

    items: list[Export]


class Written(_Shown):
    """What a write has done. `repeat`: an earlier request with this Idempotency-Key had done it."""

    session_id: Id
    seq: int
    event_id: Id
    turn_id: str | None
    repeat: bool


class Cleared(Written):
    hidden: Annotated[
        int | None,
        Field(description="How many turns it hid; null for a repeat, or without Postgres."),
    ]


class Fault(_Shown):
    detail: str
    parameter: str = ""
    pointer: str = ""


class ProblemDocument(BaseModel):
    """RFC 9457."""

    type: Annotated[str, Field(examples=["urn:turnlog:problem:not-found"])]
    title: str
    status: int
    detail: str
    request_id: str
    errors: list[Fault] = []


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class SessionIn(_Body):
    """A new session. Without a session_id one is made up."""

    session_id: Id | None = None
    user_id: Annotated[
        TextId | None, Field(description="Whose session; scope `service` or `admin` only.")
    ] = None
    project: TextId | None = None
    title: Title | None = None
    visibility: Visibility | None = None
    metadata: SessionMetadata | None = None


class SessionPatch(_Body):
    """Any of these changes. `metadata` is merged key by key; null removes a key."""

    title: Title | None = None
    title_source: Annotated[
        TitleSource | None, Field(description="`model` never replaces a title by `user`.")
    ] = None
    project: TextId | None = None
    visibility: Visibility | None = None
    metadata: SessionMetadata | None = None
    archived: bool | None = None
    pinned: bool | None = None
    branch: Annotated[Id | None, Field(description="The branch to show.")] = None


class TurnIn(NewTurnAppended):
    """A turn. Without a turn_id one is made up. Fields that are not listed are kept."""

    turn_id: Id | None = None  # pyright: ignore[reportIncompatibleVariableOverride, reportGeneralTypeIssues]
    at: Annotated[
        Moment | None, Field(description="When it happened; the time of the request otherwise.")
    ] = None
    actor: Annotated[
        Actor | None, Field(description="Who caused it; scope `service` or `admin` only.")
    ] = None
    trace: dict[str, JsonValue] | None = None


class TurnPatch(_Body):
    """New content for a turn; the former one stays as a revision."""

    content: str | list[JsonObject] | None
    reason: Reason | None = None


class AnnotationIn(_Body):
    """A rating, a reaction or a comment. Of one person the newest rating counts, and a rating of
    null takes it back; `remove` takes an equal reaction or comment back."""

    kind: Literal["rating", "reaction", "comment"]
    value: bool | float | str | None = None
    by: Annotated[TextId | None, Field(description="Who; scope `service` or `admin` only.")] = None
    remove: bool | None = None


class Health(BaseModel):
    status: Literal["ok"]


class Readiness(BaseModel):
    """`ready` is false when any of the checks has a text on what is wrong."""

    ready: bool
    checks: dict[str, str | None]


Example = dict[str, Any]
