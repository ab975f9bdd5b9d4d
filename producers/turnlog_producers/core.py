"""What both clients share, without any I/O: building events, calls of the append script, replies.

Every step is a pure function, so the API and tests use them as the clients do.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple, cast

import hiredis

from turnlog_producers.errors import TooLarge
from turnlog_producers.keys import Keys
from turnlog_producers.scripts import load_script
from turnlog_schemas import times
from turnlog_schemas.codec import encode
from turnlog_schemas.errors import InvalidEvent
from turnlog_schemas.events import MAX_BATCH_BYTES, MAX_BATCH_EVENTS, MAX_EVENT_BYTES
from turnlog_schemas.ids import new_id

APPEND = load_script("append")

# hiredis' type stub names a tuple of one word.
_pack = cast("Callable[[tuple[str | bytes | int, ...]], bytes]", hiredis.pack_command)  # pyright: ignore[reportUnknownMemberType]

_MARKS = {"session.started": "s", "session.erased": "e"}


class Event(NamedTuple):
    """An event that is ready to be appended: its id and bytes are fixed, so that sending it again
    never writes it twice."""

    event_id: str
    type: str
    at: str
    """RFC 3339, UTC."""
    raw: bytes
    """As they are stored."""
    turn_id: str | None = None
    owner: str = ""
    """The user_id of a session.started; '' for all else."""


class Appended(NamedTuple):
    """The log has the event.

    It survives a crash of Redis once Redis has synced it to disk: at once with `appendfsync always`
    (what `turnlog up` and compose.yaml set), within a second with `everysec`.
    """

    session_id: str
    seq: int
    """Place in the session, 1, 2, 3, ... without gaps; of a repeat: of the first time."""
    event_id: str
    turn_id: str | None
    """None for an event of the session itself."""
    repeat: bool
    """The log had an event with this id before: nothing was written now."""
    recorded_at: int | None
    """Redis' clock, ms since 1970; None for a repeat, whose time this reply does not tell."""


class Call(NamedTuple):
    """One call of the append script: all its events are written, or none."""

    session_id: str
    keys: Keys
    events: tuple[Event, ...]
    as_user: str = ""
    expected_seq: int | None = None
    start: Event | None = None
    """A session.started to write first, unless the session has one."""

    def arguments(self) -> list[str | bytes | int]:
        """Everything after the SHA-1 of EVALSHA: the number of keys, KEYS, ARGV."""
        keys, start = self.keys, self.start
        owner = "" if start is None else start.owner
        triples: list[str | bytes | int] = []
        for event in self.events:
            owner = owner or event.owner
            triples += (event.event_id, _MARKS.get(event.type, ""), event.raw)
        return [
            4,
            keys.heads,
            keys.index,
            keys.stream,
            keys.ids,
            keys.field,
            keys.partition,
            self.as_user,
            "" if self.expected_seq is None else self.expected_seq,
            owner,
            "" if start is None else start.event_id,
            "" if start is None else start.raw,
            *triples,
        ]

    def packed(self) -> bytes:
        """The whole command as it goes over the wire."""
        return pack("EVALSHA", APPEND.sha, *self.arguments())

    def results(self, reply: Any) -> list[Appended]:
        """Read the script's reply: one entry an event, in their order."""
        session_id, recorded_at = self.session_id, int(reply[0])
        results: list[Appended] = []
        for (event_id, _, _, _, turn_id, _), seq, repeat in zip(
            self.events, reply[2], reply[3], strict=True
        ):
            when = None if repeat else recorded_at
            results.append(Appended(session_id, seq, event_id, turn_id, repeat == 1, when))
        return results


def pack(*words: str | bytes | int) -> bytes:
    """A command as it goes over the wire."""
    return _pack(words)


def build(
    type_: str,
    data: dict[str, Any],
    *,
    event_id: str | None = None,
    at: str | datetime | None = None,
    actor: dict[str, Any] | None = None,
    trace: dict[str, Any] | None = None,
    max_event_bytes: int = MAX_EVENT_BYTES,
) -> Event:
    """Make an event; `at` is now unless given.

    Raises `InvalidEvent`, and `TooLarge` for one of more than `max_event_bytes` stored bytes.
    """
    if event_id is None:
        event_id = new_id()
    moment = times.now() if at is None else times.normalise(at)
    raw = encode(type_, data, event_id=event_id, at=moment, actor=actor, trace=trace)
    if len(raw) > max_event_bytes:
        raise TooLarge(
            f"{type_}: {len(raw):,} bytes, the limit is {max_event_bytes:,}: "
            "shorten it, or keep large artifacts elsewhere and refer to them"
        )
    owner = data.get("user_id") or "" if type_ == "session.started" else ""
    return Event(event_id, type_, moment, raw, data.get("turn_id"), owner)


def check_batch(events: Sequence[Event]) -> tuple[Event, ...]:
    """Refuse a batch that no single call may carry."""
    if len(events) > MAX_BATCH_EVENTS:
        raise TooLarge(
            f"batch: {len(events):,} events, the limit is {MAX_BATCH_EVENTS:,}: split it"
        )
    size = sum(len(event.raw) for event in events)
    if size > MAX_BATCH_BYTES:
        raise TooLarge(f"batch: {size:,} bytes, the limit is {MAX_BATCH_BYTES:,}: split it")
    if any(event.type == "session.erased" for event in events[:-1]):
        raise InvalidEvent("batch: nothing may come after session.erased")
    return tuple(events)
