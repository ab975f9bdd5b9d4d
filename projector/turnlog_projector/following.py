"""Bringing a generation that is not live further: it follows the archive by place, so it can
neither miss what a healing has moved nor pass the live one."""

from collections.abc import Callable
from typing import Any, NamedTuple

from turnlog_projector.batch import Parked, write_rows
from turnlog_projector.copying import NO_SKIPS, decode_rows
from turnlog_projector.database import Database
from turnlog_projector.folding import fold_prefetched, prefetch
from turnlog_projector.generations import Generation, lock_positions, move_positions
from turnlog_projector.log import SessionKey
from turnlog_projector.readmodels import ReadModels
from turnlog_projector.refold import fold_on, refold_session
from turnlog_projector.refusals import refusal
from turnlog_projector.sqlfiles import statement
from turnlog_projector.work import SessionWork
from turnlog_projector.young import analyse_filled
from turnlog_schemas.codec import RecordedEvent
from turnlog_schemas.erasure import Stored, erasing_event

CHUNK_EVENTS = 2000
CHUNK_BYTES = 8 * 1024 * 1024
_SMALL_ROW_BYTES = 4096
"""Rows of sessions up to this size are loaded for a chunk in any number."""

Skips = dict[SessionKey, frozenset[int]]


class Progress(NamedTuple):
    """Where a replay or a rollback is."""

    phase: str
    """events, indexes, large sessions, verify, catching up, flip"""
    done: int
    """Events folded, or gone through, so far."""
    total: int
    """Events in the archive when it began."""


Tell = Callable[[Progress], None]


class Follower:
    """One generation that follows the archive. The caller holds the replay lock, so that nobody
    else brings it further; sessions in it may be refolded by others (an erasure, a skip)."""

    def __init__(self, connection: Database, url: str, generation: Generation, tell: Tell) -> None:
        self.connection = connection
        self.url = url
        self.generation = generation
        self.tell = tell
        self.parked: dict[SessionKey, Parked] = {}
        self.positions: dict[int, int] = {}
        """Up to which place in the archive it is, for each partition that it holds."""
        self.touched: set[SessionKey] = set()
        """Sessions changed since whoever reads this has emptied it."""
        self.skips: Skips = {}
        """What was void when it was folded."""
        self.done = 0
        self.total = 0

    @property
    def number(self) -> int:
        return self.generation.generation

    def say(self, phase: str) -> None:
        """Tell how far it is."""
        self.tell(Progress(phase, self.done, max(self.total, self.done)))

    def archived(self) -> dict[int, int]:
        """How far the archive goes, for each partition that it holds."""
        rows = self.connection.execute("SELECT partition, pos FROM turnlog.offsets ORDER BY 1")
        return {row[0]: row[1] for row in rows if row[0] in self.positions}

    def behind(self) -> int:
        """How many archived events it has not gone through yet."""
        return sum(self.archived().values()) - sum(self.positions.values())

    def catch_up(self) -> None:
        """Fold what was archived since, up to where the offsets stand now, chunk by chunk; and what
        was skipped since."""
        upto = self.archived()
        while any(self.positions[partition] < pos for partition, pos in upto.items()):
            with self.connection.transaction():
                self.positions = lock_positions(self.connection, self.number)
                reached = self._fold_since(upto)
                move_positions(self.connection, self.number, reached)
            self.done += sum(reached[p] - self.positions[p] for p in reached)
            self.positions |= reached
            self.say("catching up")
        self.fold_skipped()

    def skipped(self) -> Skips:
        """What is void now, in the partitions that it holds."""
        found: dict[SessionKey, set[int]] = {}
        for partition, tenant, session_id, seq in self.connection.execute(statement("skipped_all")):
            if partition in self.positions:
                found.setdefault(SessionKey(partition, tenant, session_id), set()).add(seq)
        return {key: frozenset(seqs) for key, seqs in found.items()}

    def fold_skipped(self) -> None:
        """Fold sessions afresh of which an operator has voided events since."""
        now = self.skipped()
        changed = [k for k in now.keys() | self.skips.keys() if now.get(k) != self.skips.get(k)]
        for key in sorted(changed):
            self.refold(key)
        self.skips = now

    def refold(self, key: SessionKey) -> None:
        """Fold one session afresh, up to where the generation is."""
        with self.connection.transaction():
            lock_positions(self.connection, self.number)
            self._refold(key, self.positions[key.partition])

    def _refold(self, key: SessionKey, pos: int) -> None:
        """Fold one session afresh, up to a place in the archive; in the caller's transaction."""
        upto_seq = self._upto_seq(key)
        parked = refold_session(self.connection, self.number, key, upto_pos=pos, upto_seq=upto_seq)
        self._note(key, parked)

    def _fold_on(self, key: SessionKey, pos: int) -> None:
        """Fold one session from where it is up to a place in the archive, by itself."""
        known = ReadModels(self.connection, self.number).known([key], largest=None)
        parked = fold_on(
            self.connection,
            self.number,
            key,
            known[key].session,
            upto_pos=pos,
            upto_seq=self._upto_seq(key),
        )
        self._note(key, parked)

    def _note(self, key: SessionKey, parked: Parked | None) -> None:
        self.touched.add(key)
        self.parked.pop(key, None)
        if parked is not None:
            self.parked[key] = parked

    def _upto_seq(self, key: SessionKey) -> int | None:
        if not self.generation.has(key.tenant, key.session_id):
            return 0
        if self.generation.until_recorded_at is None:
            return self.generation.until_seq
        where = {**key._asdict(), "until": self.generation.until_recorded_at}
        return self.connection.execute(statement("seq_until"), where).fetchall()[0][0]

    def _fold_since(self, upto: dict[int, int]) -> dict[int, int]:
        """Fold the next chunk; returns the places that it has reached."""
        wanted = self._next_places(upto)
        rows = self.connection.execute(
            statement("archived_since"),
            {
                "partitions": list(wanted),
                "after": [self.positions[p] for p in wanted],
                "upto": list(wanted.values()),
                "count": CHUNK_EVENTS,
                "size": CHUNK_BYTES,
            },
        ).fetchall()
        # Partitions before the last one of a chunk are in it as far as was asked for.
        last = rows[-1][0] if rows else -1
        reached = {p: pos for p, pos in wanted.items() if p < last or not rows}
        sessions: dict[SessionKey, list[Any]] = {}
        for partition, pos, *row in rows:
            sessions.setdefault(SessionKey(partition, row[0], row[1]), []).append(row)
            if partition == last:
                reached[partition] = pos
        held = {k: v for k, v in sessions.items() if self.generation.has(k.tenant, k.session_id)}
        self._fold_rows(held, {**self.positions, **reached})
        return reached

    def _next_places(self, upto: dict[int, int]) -> dict[int, int]:
        """Up to which place each of the next partitions is to be brought by a chunk."""
        wanted: dict[int, int] = {}
        room = CHUNK_EVENTS
        for partition, pos in sorted(upto.items()):
            count = min(pos - self.positions[partition], room)
            if count > 0:
                wanted[partition] = self.positions[partition] + count
                room -= count
        return wanted

    def _fold_rows(self, sessions: dict[SessionKey, list[Any]], reached: dict[int, int]) -> None:
        """Fold archived events against the tables of the generation, and write what they change."""
        analyse_filled(self.connection, self.number)
        models = ReadModels(self.connection, self.number)
        largest = max(CHUNK_BYTES // max(len(sessions), 1), _SMALL_ROW_BYTES)
        found = models.known(sessions, largest=largest)
        skips = self.skipped()
        works: list[tuple[SessionWork, list[RecordedEvent]]] = []
        afresh: list[SessionKey] = []
        alone: list[SessionKey] = []
        for key, rows in sessions.items():
            if any(erasing_event(Stored(*row[2:6]), row[6]) is not None for row in rows):
                afresh.append(key)
                continue
            if key in self.parked or not (rows := [row for row in rows if self._holds(row)]):
                continue
            session = found[key].session
            if found[key].left_out:
                alone.append(key)  # for its row is large
                continue
            if rows[0][2] != (session["seq"] if session is not None else 0) + 1:
                # It had stopped before: parked when the generation was live, or never complete.
                afresh.append(key)
                continue
            self.touched.add(key)
            work = SessionWork(key, session, models if session is not None else None)
            decoded = decode_rows(key, rows, skips.get(key, NO_SKIPS))
            if decoded is None:
                afresh.append(key)
                continue
            if decoded.stopped is not None:
                self.parked[key] = decoded.stopped
            works.append((work, decoded.events))
        large = prefetch(models, works, size=CHUNK_BYTES)
        alone += large
        works = [(work, events) for work, events in works if work.key not in large]
        self.parked |= {parked.key: parked for parked in fold_prefetched(works)}
        try:
            with self.connection.transaction(), self.connection.cursor() as cursor:
                write_rows(cursor, self.number, [work for work, _ in works], large=True)
        except Exception as error:
            if refusal(error) is None:
                raise
            afresh += [work.key for work, _ in works]  # one by one, which parks the one refused
        for key in afresh:
            self._refold(key, reached[key.partition])
        for key in alone:
            self._fold_on(key, reached[key.partition])

    def _holds(self, row: Any) -> bool:
        _, _, seq, _, recorded_at, *_ = row
        until, last = self.generation.until_recorded_at, self.generation.until_seq
        return (until is None or recorded_at <= until) and (last is None or seq <= last)
