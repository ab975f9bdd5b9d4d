"""Erasure in Postgres: archived events become stubs in the transaction that archives the erasing
event, and every generation folds the session afresh there, so that no reader ever finds the one
without the other. `erasing.py` cleans Redis afterwards.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from turnlog_projector.batch import event_hash
from turnlog_projector.database import Database
from turnlog_projector.folding import Decoded, decode_all
from turnlog_projector.log import SessionKey, StoredEvent
from turnlog_projector.refold import CHUNK_BYTES, CHUNK_EVENTS, refold_everywhere
from turnlog_projector.sqlfiles import statement
from turnlog_schemas.erasure import (
    WHOLE_SESSION,
    Stored,
    erased_by,
    erasing_event,
    session_stub,
    tombstone,
    turn_stub,
)


class Stubs(NamedTuple):
    """Events after an erasure has passed them."""

    events: list[StoredEvent]
    """All of them; some are stubs now, the others as they were."""
    changed: list[StoredEvent]
    """Those of them whose bytes have changed."""
    named: list[tuple[str, int]]
    """Of every new stub: the erased turn, or `WHOLE_SESSION`, and its seq."""


def make_stubs(events: Iterable[StoredEvent], erased: Mapping[str, int]) -> Stubs:
    """Take out of events what is erased: turn_id or `WHOLE_SESSION` -> seq of the erasing event."""
    made = Stubs([], [], [])
    whole = erased.get(WHOLE_SESSION)
    for event in events:
        stored = Stored(*event)
        raw, turn_id = event.raw, WHOLE_SESSION
        if whole is None:
            stub = turn_stub(stored, erased)
            if stub is not None:
                turn_id, raw = stub
        elif whole == event.seq:
            raw = tombstone(stored)
        else:
            raw = session_stub(stored, whole)
        if raw != event.raw:
            event = event._replace(raw=raw)
            made.changed.append(event)
            if whole != event.seq:
                made.named.append((turn_id, event.seq))
        made.events.append(event)
    return made


class Erasure:
    """What a batch erases in one session: what its events have begun to erase, and those of its own
    events that were erased before they came."""

    def __init__(
        self, key: SessionKey, archived_seq: int, erased: dict[str, int], begun: set[str]
    ) -> None:
        self.key = key
        self.erased = erased
        self._archived_seq = archived_seq
        """Up to here the session was archived before the batch."""
        self._begun = begun
        self._named: list[tuple[str, int]] = []

    @property
    def refolds(self) -> bool:
        """Whether the session is folded afresh when the batch is written: what the batch itself
        would fold would not be heard of."""
        return bool(self._begun) and self._archived_seq > 0

    @property
    def matters(self) -> bool:
        """Whether there is anything to write."""
        return bool(self._begun or self._named)

    def pass_over(self, events: Sequence[StoredEvent]) -> list[StoredEvent]:
        """The events of the batch without what is erased: nothing of it reaches Postgres."""
        stubs = make_stubs(events, self.erased)
        self._named += stubs.named
        return stubs.events

    def write(self, connection: Database, generation: int) -> None:
        """Erase in the archive and in every generation. Within the transaction that archives the
        batch; it cannot be done in a pipeline. Memory is bounded, whatever the session's length."""
        if self.refolds:
            self.stub_archived(connection)
        self.note(connection)
        if self.refolds:
            refold_everywhere(connection, generation, self.key)

    def stub_archived(self, connection: Database) -> None:
        """Make stubs of what was archived before the batch."""
        first = 1
        limits = {"upto_pos": None, "upto_seq": self._archived_seq}
        limits |= {"count": CHUNK_EVENTS, "size": CHUNK_BYTES}
        while True:
            rows = connection.execute(
                statement("archived_up_to"), {**self.key._asdict(), "first": first, **limits}
            ).fetchall()
            if not rows:
                return
            stubs = make_stubs((StoredEvent(*row[:4]) for row in rows), self.erased)
            self._named += stubs.named
            if stubs.changed:
                connection.execute(
                    statement("put_stubs"),
                    {
                        **self.key._asdict(),
                        "seqs": [event.seq for event in stubs.changed],
                        "hashes": [event_hash(event.raw) for event in stubs.changed],
                        "stubs": [event.raw for event in stubs.changed],
                    },
                )
            first = rows[-1][0] + 1

    def note(self, connection: Database) -> None:
        """Write down what was erased: from there Redis is cleaned."""
        whole = WHOLE_SESSION in self.erased
        turn_ids = sorted(self._begun | {turn_id for turn_id, _ in self._named})
        if whole:
            turn_ids = [WHOLE_SESSION]
            connection.execute(statement("remove_erased_turns"), self.key._asdict())
        stubs = [] if whole else self._named
        counts = dict.fromkeys(turn_ids, 0)
        for turn_id, _ in self._named:
            counts[turn_id] += 1
        connection.execute(
            statement("put_erasures"),
            {
                **self.key._asdict(),
                "turn_ids": turn_ids,
                "seqs": [self.erased[turn_id] for turn_id in turn_ids],
                "events": [counts[turn_id] for turn_id in turn_ids],
                "stub_turns": [turn_id for turn_id, _ in stubs],
                "stub_seqs": [seq for _, seq in stubs],
            },
        )


def erase_found(connection: Database, key: SessionKey) -> None:
    """Erase in the archive what archived events of a session erase that could not be read when they
    came: a later release reads them. Within the caller's transaction; folding the session afresh is
    left to the caller."""
    rows = connection.execute(statement("erasing_events"), key._asdict()).fetchall()
    if not rows:
        return
    known = {row[0] for row in connection.execute(statement("erasures_of_session"), key._asdict())}
    found: dict[str, int] = {}
    for row in rows:
        turn_id = erasing_event(Stored(*row[:4]), row[4])
        if turn_id is not None and not known & {turn_id, WHOLE_SESSION}:
            found.setdefault(turn_id, row[0])
    if found:
        erasure = Erasure(key, rows[0][5], found, set(found))
        erasure.stub_archived(connection)
        erasure.note(connection)


class Erasures:
    """Finds what the events of a batch erase, or may not bring back. It knows which sessions had
    turns erased: whoever else erases in a partition moves its offset, and then `reload` is due."""

    def __init__(self, connection: Database) -> None:
        self._connection = connection
        self._sessions: set[SessionKey] = set()

    def reload(self, partitions: Iterable[int]) -> None:
        """Read anew which sessions of the partitions had turns erased."""
        rows = self._connection.execute(statement("sessions_with_erasures"), (sorted(partitions),))
        self._sessions = {SessionKey(*row) for row in rows}

    def find(
        self,
        key: SessionKey,
        events: Sequence[StoredEvent],
        decoded: Decoded,
        repeats: Mapping[int, int],
        *,
        archived_seq: int,
        session_erased: bool,
    ) -> Erasure | None:
        """What the next events of a session erase, or what of them is erased already; None when
        that is nothing. `repeats`: seq of a repeat -> seq of the first event."""
        begun: dict[str, int] = {}
        for event in decoded.events:
            if event.type in ("turn.erased", "session.erased") and event.seq not in repeats:
                turn_id = erased_by(event)
                if turn_id is not None:
                    begun.setdefault(turn_id, event.seq)
        # Also in a session that is parked, or about to be.
        for stored in events[len(decoded.events) :]:
            turn_id = erasing_event(Stored(*stored), repeats.get(stored.seq))
            if turn_id is not None:
                begun.setdefault(turn_id, stored.seq)
        erased: dict[str, int] = {}
        if session_erased or key in self._sessions:
            rows = self._connection.execute(statement("erasures_of_session"), key._asdict())
            erased = {row[0]: row[1] for row in rows}
        if not begun and not erased:
            return None
        self._sessions.add(key)
        return Erasure(key, archived_seq, {**begun, **erased}, set(begun) - erased.keys())


def without_erased(
    key: SessionKey, erasure: Erasure, events: Sequence[StoredEvent]
) -> tuple[list[StoredEvent], Decoded]:
    """Events of a batch without what is erased, and decoded again."""
    left = erasure.pass_over(events)
    return left, decode_all(key, left)
