"""What each moment of a session must look like: the pure fold of its first events."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from pydantic_core import from_json, to_json

from turnlog_api.logsteps import Decoder, LogEvent
from turnlog_schemas.erasure import Stored, erasing_event
from turnlog_schemas.errors import InvalidEvent
from turnlog_schemas.fold import fold
from turnlog_schemas.rows import MemoryRows, Session, Turn, history


class Moment(NamedTuple):
    """What the events so far fold to. The rows go on changing with the next moment."""

    session: Session
    rows: MemoryRows

    def turns(self, branch_id: str | None = None) -> list[dict[str, Any]]:
        """The visible turns of a branch, or of the shown one."""
        session: Session = self.session
        if branch_id is not None:
            session = {**session, "branch_id": branch_id}
        return plain(history(self.rows, session))


def moments_of(events: Sequence[LogEvent], decoder: Decoder) -> Iterator[Moment]:
    """Every moment, up to the first event that cannot be decoded."""
    session: Session | None = None
    rows = MemoryRows()
    for each in events:
        try:
            decoded = decoder.decode(each)
        except InvalidEvent:
            return
        changes = fold(session, rows, decoded)
        session = changes.session
        rows.apply(changes)
        yield Moment(session, rows)


def erased_turns(events: Sequence[LogEvent]) -> dict[str, int]:
    """The turns that a log erases, and the seq of the event that does."""
    found: dict[str, int] = {}
    for each in events:
        turn_id = erasing_event(Stored(*each.stored), each.repeat_of)
        if turn_id:
            found.setdefault(turn_id, each.seq)
    return found


def plain(turns: Any) -> list[dict[str, Any]]:
    """Turns as JSON gives them back."""
    return from_json(to_json(list[Turn](turns)))
