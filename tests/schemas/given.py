"""A session built from events, as the tests of the fold write them down: given, when, then."""

from dataclasses import replace
from typing import Any

from pydantic_core import to_json

from turnlog_schemas.codec import RecordedEvent, decode, encode
from turnlog_schemas.fold import fold
from turnlog_schemas.rows import MemoryRows, Session, Turn, history

START_MS = 1_767_225_600_000
"""2026-01-01T00:00:00Z; the event with seq n is recorded n seconds later."""


def at(seq: int) -> str:
    """When the event with this seq happened."""
    minutes, seconds = divmod(seq, 60)
    return f"2026-01-01T00:{minutes:02d}:{seconds:02d}.000000Z"


class Given:
    """A session after some events. `when` adds one more and returns the session itself."""

    def __init__(self) -> None:
        self.session: Session | None = None
        self.rows = MemoryRows()
        self.events: list[RecordedEvent] = []

    def when(
        self,
        type_: str,
        *,
        actor: dict[str, Any] | None = None,
        when: str | None = None,
        event_id: str | None = None,
        repeat_of: int | None = None,
        **data: Any,
    ) -> "Given":
        """The event happens, through its stored form. `when`: the producer's clock."""
        seq = len(self.events) + 1
        event_id = event_id or f"e{seq}"
        raw = encode(type_, data, event_id=event_id, at=when or at(seq), actor=actor)
        event = decode(
            raw,
            tenant="acme",
            session_id="s-1",
            seq=seq,
            recorded_at=START_MS + seq * 1000,
            repeat_of=repeat_of,
        )
        return self.fold(event)

    def found(self, type_: str, **data: Any) -> "Given":
        """The log holds this event, whatever may be written today."""
        seq = len(self.events) + 1
        raw = to_json(
            {"event_id": f"e{seq}", "type": type_, "version": 1, "at": at(seq), "data": data}
        )
        recorded_at = START_MS + seq * 1000
        return self.fold(
            decode(raw, tenant="acme", session_id="s-1", seq=seq, recorded_at=recorded_at)
        )

    def fold(self, event: RecordedEvent) -> "Given":
        """An event that is decoded already happens next."""
        event = replace(event, seq=len(self.events) + 1)
        self.events.append(event)
        changes = fold(self.session, self.rows, event)
        self.rows.apply(changes)
        self.session = changes.session
        return self

    def user(self, turn_id: str, content: Any = "Hi", **data: Any) -> "Given":
        """A user's whole turn."""
        return self.when("turn.appended", turn_id=turn_id, role="user", content=content, **data)

    def assistant(self, turn_id: str, content: Any = "Hello", **data: Any) -> "Given":
        """An assistant's whole turn."""
        return self.when(
            "turn.appended", turn_id=turn_id, role="assistant", content=content, **data
        )

    @property
    def now(self) -> Session:
        """The session as it stands."""
        assert self.session is not None
        return self.session

    def turn(self, turn_id: str) -> Turn:
        """A turn as it stands."""
        return self.rows.turns[turn_id]

    @property
    def shown(self) -> list[str]:
        """The ids of the turns in the history of the shown branch."""
        return [turn["turn_id"] for turn in history(self.rows, self.now)]

    @property
    def title(self) -> tuple[str | None, str | None]:
        """Title and its source."""
        return self.now["title"], self.now["title_source"]

    @property
    def preview(self) -> str | None:
        """What a list of sessions shows of the last turn."""
        last = self.now["last_turn"]
        return last["preview"] if last else None
