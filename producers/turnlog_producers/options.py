"""The keyword arguments that several methods share."""

from datetime import datetime
from enum import Enum
from typing import Any, Final, Literal, TypedDict

from turnlog_schemas.events import Visibility


class Absent(Enum):
    """Stands for an argument that was left out, where None means something."""

    CONTINUE = "continue"


CONTINUE: Final = Absent.CONTINUE
"""`parent_turn_id` of a turn that follows the last one of the shown branch: the default."""


class ClientOptions(TypedDict, total=False):
    """What both clients can be given."""

    tenant: str
    """Whose sessions these are; `default` unless given."""
    partitions: int | None
    """What TURNLOG_PARTITIONS says; the log's own number unless given. Another number than the log
    has raises `Misconfigured` at the first append."""
    actor: dict[str, Any] | None
    """Who causes the events: `{"kind": "service", "id": ..., "name": ...}`; nobody unless given."""
    max_event_bytes: int
    """The largest event to send, in stored bytes; 1 MiB unless given."""
    retry_s: float
    """After a failure, send again for so long before raising `Unavailable`; 5 unless given."""


class SessionOptions(TypedDict, total=False):
    """What `session` can be given. The first five are what the session begins with, if it is new:
    they go along with the first append. `as_user` and what follows hold for every call."""

    user_id: str | None
    """The owner."""
    project: str | None
    title: str | None
    visibility: Visibility | None
    """`private` (unless given) or `tenant`."""
    metadata: dict[str, Any] | None
    """Your own, 256 KiB as JSON at most."""
    as_user: str | None
    """Raise `NotOwner` when the session belongs to another user. A new one belongs to this one."""
    actor: dict[str, Any] | None
    """Who causes the events; the client's unless given."""
    tenant: str | None
    """The client's unless given."""


class EventOptions(TypedDict, total=False):
    """What every method takes beside the event's own data."""

    event_id: str | None
    """The idempotency key: an event whose id the session has is not written again. A new UUIDv7
    unless given; give the one that `Unavailable` names to resend a call."""
    at: datetime | str | None
    """When it happened, with its UTC offset; now unless given."""
    actor: dict[str, Any] | None
    """Who caused it: `{"kind": "agent", "id": ..., "name": ...}`; the session's unless given."""
    trace: dict[str, Any] | None
    """Your ids for tracing, kept as they are. With the extra `otel`: the traceparent of the span
    that is open, unless given."""
    expected_seq: int | None
    """Write only when the session is at this seq (0: new), else raise `Conflict`."""


class TurnFields(TypedDict, total=False):
    """What a whole turn may hold beside turn_id, role and content."""

    name: str | None
    tool_calls: list[dict[str, Any]] | None
    tool_call_id: str | None
    artifacts: list[dict[str, Any]] | None
    """References, `{"id": ..., "kind", "mime", "size", "url", "name"}`: the bytes lie elsewhere."""
    model: str | None
    usage: dict[str, Any] | None
    """`{"input_tokens": ..., "output_tokens": ...}` and further counters, 64 at most."""
    response_time_ms: float | None
    parent_turn_id: str | Literal[Absent.CONTINUE] | None
    """The turn that this one follows; one that is not the last opens a branch. None starts a new
    root; left out, the turn continues the shown branch."""
    metadata: dict[str, Any] | None


class TurnOptions(TurnFields, EventOptions, total=False):
    """For a method that writes a whole turn and is given its turn_id."""


class NewTurnOptions(TurnOptions, total=False):
    """For a method that writes a whole new turn."""

    turn_id: str | None
    """The event_id unless given."""


EVENT_OPTIONS = frozenset(EventOptions.__annotations__)
TURN_FIELDS = frozenset(TurnFields.__annotations__)
STARTED_FIELDS = ("user_id", "project", "title", "visibility", "metadata")
"""The fields of `SessionOptions` that a session.started holds."""
