"""How time travel asks for events of the log, without knowing who reads them.

A piece of work is a generator: it yields what it wants, is sent the events, and returns its result.
The API answers from Postgres and Redis without blocking (timetravel.py), the command line and the
process for long histories over a plain connection (`run`).
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from itertools import takewhile
from typing import Any, NamedTuple, TypeAlias, TypeVar

from turnlog_api.statements import sql
from turnlog_projector.archive import decode_archived
from turnlog_projector.database import Database
from turnlog_projector.log import SessionKey, StoredEvent
from turnlog_schemas.codec import RecordedEvent
from turnlog_schemas.erasure import Stored, turn_stub
from turnlog_schemas.errors import InvalidEvent
from turnlog_schemas.rows import LAST_SEQ

R = TypeVar("R")

CHUNK_EVENTS = 500
CHUNK_BYTES = 4 * 1024 * 1024
"""A chunk ends with the event that reaches either."""


class LogEvent(NamedTuple):
    """An event as it is stored; `repeat_of` is the seq of an earlier one with the same id."""

    stored: StoredEvent
    repeat_of: int | None

    @property
    def seq(self) -> int:
        return self.stored.seq


class Span(NamedTuple):
    """The events from `first` to `last`: as many as a chunk takes, from the first one on."""

    first: int
    last: int


class Places(NamedTuple):
    """The events at these seqs, in this order: as many as a chunk takes, from the first one on."""

    seqs: Sequence[int]


Wanted: TypeAlias = Span | Places
Steps: TypeAlias = Generator[Wanted, list[LogEvent], R]


class Gap(Exception):
    """The log does not hold an event that it must hold: it is being trimmed or healed."""


class Unfoldable(Exception):
    """The event `seq` cannot be decoded or folded: the session is parked there, or will be."""

    def __init__(self, seq: int) -> None:
        super().__init__(f"event {seq} cannot be folded")
        self.seq = seq


class Decoder(NamedTuple):
    """Reads the events of one session. Those in `skipped` fold to nothing. Of turns in `erased`
    (turn_id -> seq of the erasing event) the events are read as the stubs that they will be, once
    the erasure is archived."""

    key: SessionKey
    skipped: frozenset[int] = frozenset()
    erased: Mapping[str, int] = {}

    def without_erased(self, event: LogEvent) -> LogEvent:
        """The event as it may be shown."""
        if not self.erased:
            return event
        stub = turn_stub(Stored(*event.stored), self.erased)
        return event if stub is None else event._replace(stored=event.stored._replace(raw=stub.raw))

    def decode(self, event: LogEvent) -> RecordedEvent:
        """Raises `InvalidEvent`."""
        shown = self.without_erased(event)
        return decode_archived(self.key, shown.stored, shown.repeat_of, self.skipped)

    def decoded(self, event: LogEvent, seq: int) -> RecordedEvent:
        """An event that was decoded before, and must be the one at `seq`. Raises `Gap`."""
        if event.seq != seq:
            raise Gap
        try:
            return self.decode(event)
        except InvalidEvent:
            raise Gap from None


def run(steps: Steps[R], answer: Callable[[Wanted], list[LogEvent]]) -> R:
    """Do a piece of work, asking a function for the events."""
    try:
        wanted = next(steps)
        while True:
            wanted = steps.send(answer(wanted))
    except StopIteration as done:
        return done.value


class ArchiveReader:
    """Answers from the archive, over a plain connection; what no archive holds yet from a tail."""

    def __init__(
        self, connection: Database, key: SessionKey, tail: Sequence[LogEvent] = ()
    ) -> None:
        """`tail` goes on where the archive ends."""
        self._cursor = connection.cursor(binary=True)
        self._key = key
        self._tail = tail

    def __call__(self, wanted: Wanted) -> list[LogEvent]:
        found = in_tail(self._tail, wanted)
        if found is not None:
            return found
        name, parts, params = question(self._key, wanted, self._tail)
        rows = self._cursor.execute(sql(name, 0, parts), params)
        return [LogEvent(StoredEvent(*row[:4]), row[4]) for row in rows]


def in_tail(tail: Sequence[LogEvent], wanted: Wanted) -> list[LogEvent] | None:
    """The answer, when it comes from the tail; None: ask the archive."""
    begin = tail[0].seq if tail else LAST_SEQ
    if isinstance(wanted, Span):
        if wanted.first < begin:
            return None
        start, end = wanted.first - begin, wanted.last - begin + 1
        return list(tail[start : min(start + CHUNK_EVENTS, end)])
    seqs = list(takewhile(lambda seq: seq >= begin, wanted.seqs))
    return [tail[seq - begin] for seq in seqs if seq - begin < len(tail)] if seqs else None


def question(
    key: SessionKey, wanted: Wanted, tail: Sequence[LogEvent] = ()
) -> tuple[str, frozenset[str], dict[str, Any]]:
    """What to ask the archive: a statement of sql/, its parts and parameters."""
    params: dict[str, Any] = {**key._asdict(), "bytes": CHUNK_BYTES}
    if isinstance(wanted, Span):
        span = {"first": wanted.first, "last": wanted.last, "count": CHUNK_EVENTS}
        return "log_span", frozenset({"asc"}), params | span
    begin = tail[0].seq if tail else LAST_SEQ
    seqs = takewhile(lambda seq: seq < begin, wanted.seqs[:CHUNK_EVENTS])
    return "log_places", frozenset(), params | {"seqs": list(seqs)}
