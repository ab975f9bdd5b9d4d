"""What calls can be given beside their own arguments."""

from datetime import datetime
from typing import Any, Literal, Required, TypedDict

from turnlog_schemas.events import Role

Content = str | list[dict[str, Any]] | None
"""Text, or parts such as `{"type": "text", "text": ...}`, or none (a turn of tool calls only)."""

Moment = datetime | str
"""A time with its UTC offset: a datetime, or RFC 3339 text."""


class ReadOptions(TypedDict, total=False):
    """How new an answer about a session must be. Unless given, it shows what is projected."""

    strong: bool
    """Fold what is in the log, but not yet projected, into the answer. Needs Redis."""
    min_seq: int | None
    """Wait (for a bounded time) until this seq is in the answer; else `Unavailable`."""


class KeyOption(TypedDict, total=False):
    """What makes a write happen once."""

    idempotency_key: str | None
    """Of your choice, 1 to 255 ASCII characters: calls with the same one write once. Unless given
    one is made up, which covers the retries of this call."""


class WriteOptions(KeyOption, total=False):
    """What a write of a session can be given."""

    expected_seq: int | None
    """Write only when the session is at this seq (0: new), else raise `Conflict`."""
    ack: Literal["accepted", "projected"]
    """`projected` answers when the read models show the write, or do not within a bounded time: the
    write stands in both cases. `client.answers` tells which it was."""


class TurnFields(TypedDict, total=False):
    """What a turn may hold beside role and content. None stands for not given."""

    turn_id: str | None
    """Made up unless given."""
    name: str | None
    tool_calls: list[dict[str, Any]] | None
    tool_call_id: str | None
    artifacts: list[dict[str, Any]] | None
    """References, `{"id": ..., "kind", "mime", "size", "url", "name"}`: the bytes lie elsewhere."""
    model: str | None
    usage: dict[str, Any] | None
    """`{"input_tokens": ..., "output_tokens": ...}` and further counters, 64 at most."""
    response_time_ms: float | None
    parent_turn_id: str | None
    """The turn that this one follows; one that is not the last opens a branch. Here None means
    none: a new root. Left out, the turn continues the shown branch."""
    metadata: dict[str, Any] | None
    at: Moment | None
    """When it happened; the time of the request unless given."""
    actor: dict[str, Any] | None
    """Who caused it: `{"kind": "agent", "id": ..., "name": ...}`; for the scopes `service` and
    `admin`."""
    trace: dict[str, Any] | None
    """Your ids for tracing, kept as they are."""


class TurnOptions(TurnFields, WriteOptions, total=False):
    """For `append_turn`."""


class NewTurn(TurnFields, total=False):
    """A turn for `append_turns`."""

    role: Required[Role]
    content: Content


ExportFormat = Literal["jsonl", "json", "csv", "md"]
"""`jsonl`: the log itself, which `turnlog import` reads back; `json`: one document; `csv`: a row a
turn, for spreadsheets; `md`: to be read."""


class ExportOptions(TypedDict, total=False):
    """What a file is made like."""

    branches: Literal["shown", "all"]
    """Turns of the branch that is shown, or of all; `jsonl` has all."""
    annotations: bool
    """Ratings, reactions and comments in csv and md; json and jsonl have them."""
    delimiter: Literal["comma", "semicolon", "tab"]
    """Of csv: what the spreadsheet expects in its language."""
    whole_cells: bool
    """Of csv: do not cut cells at the 32,767 characters that spreadsheets hold."""


WRITE_OPTIONS = frozenset(WriteOptions.__annotations__)
TURN_FIELDS = frozenset(TurnFields.__annotations__)
