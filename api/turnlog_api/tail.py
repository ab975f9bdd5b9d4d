"""The events of a session behind what is folded: from the archive, then from the stream."""

from turnlog_api.logreads import LogReads
from turnlog_api.problems import Problem
from turnlog_api.strongpage import Snapshot
from turnlog_projector.archive import decode_archived
from turnlog_projector.batch import Archived
from turnlog_projector.log import SessionKey, StoredEvent
from turnlog_schemas.codec import RecordedEvent
from turnlog_schemas.errors import InvalidEvent

_CHUNK = 500


class Moved(Exception):
    """The log was trimmed or healed while it was read: begin again with a newer snapshot."""


class Tail:
    """Reads a tail in chunks, checked as the projector checks it."""

    def __init__(
        self, log: LogReads, snapshot: Snapshot, key: SessionKey, archived: Archived
    ) -> None:
        self._log = log
        self._snapshot = snapshot
        self._key = key
        self._archived = archived
        self._skipped: frozenset[int] | None = None

    async def events(self, first: int) -> list[RecordedEvent]:
        """The next events, from seq `first` on; none at the end.

        Raises `Moved`, and a 409 `Problem` at an event that cannot be decoded.
        """
        if first <= self._archived.seq:
            stored = await self._from_archive(first)
        else:
            stored = await self.from_stream(first)
        if stored and self._skipped is None:
            self._skipped = await self._void()
        decoded: list[RecordedEvent] = []
        for event, repeat_of in stored:
            try:
                decoded.append(
                    decode_archived(self._key, event, repeat_of, self._skipped or frozenset())
                )
            except InvalidEvent:
                if decoded:
                    break
                raise parked(event.seq) from None
        return decoded

    async def _void(self) -> frozenset[int]:
        """The seqs that an operator has declared void."""
        query = self._snapshot.statement("skipped_events")
        rows = await self._snapshot.rows(query, (self._key.tenant, self._key.session_id))
        return frozenset(row[0] for row in rows)

    async def _from_archive(self, first: int) -> list[tuple[StoredEvent, int | None]]:
        params = {**self._key._asdict(), "first": first, "count": _CHUNK}
        rows = await self._snapshot.rows(self._snapshot.statement("archived_events"), params)
        return [(StoredEvent(*row[:4]), row[4]) for row in rows]

    async def from_stream(self, first: int) -> list[tuple[StoredEvent, int | None]]:
        archived = self._archived
        keys = await self._log.keys(self._key.tenant, self._key.session_id)
        start = archived.seq if first == archived.seq + 1 else first
        events = await self._log.events(keys, max(start, 1), count=_CHUNK)
        if events and events[0].seq == archived.seq:
            if events[0].event_id != archived.event_id:
                raise Moved
            events = events[1:]
        if [event.seq for event in events] != list(range(first, first + len(events))):
            raise Moved
        repeats = await self._repeats(events)
        return [(event, repeats.get(event.event_id)) for event in events]

    async def _repeats(self, events: list[StoredEvent]) -> dict[str, int]:
        """Events that came again after the log had forgotten their ids: id -> seq of the first."""
        if not events:
            return {}
        # Read after the events: it knows of every pruning that could concern them.
        head = await self._log.head(self._key.tenant, self._key.session_id)
        if head is not None and head.base == 0:
            return {}
        ids, count = [event.event_id for event in events], len(events)
        key = self._key
        wanted = ([key.partition] * count, [key.tenant] * count, [key.session_id] * count, ids)
        rows = await self._snapshot.rows(self._snapshot.statement("known_event_ids"), wanted)
        return {row[2]: row[3] for row in rows}


def parked(seq: int) -> Problem:
    """The session waits at an event that cannot be decoded or folded."""
    return Problem(
        "parked",
        f"event {seq} cannot be folded: an operator retries or skips it (`turnlog parked`); "
        f"without consistency=strong the session is shown up to seq {seq - 1}",
        parked_seq=seq,
    )
