"""Building a generation from the archive.

First every session is folded as of a noted place in the archive and copied in, partition by
partition, on every core; then come the indexes, the sessions too large to hold in memory, and what
was archived since.
"""

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any, NamedTuple

from turnlog_projector.archive import skipped_by_session
from turnlog_projector.batch import Parked, write_rows
from turnlog_projector.copying import NO_SKIPS, copy_partition, decode_rows, start_process
from turnlog_projector.database import Database
from turnlog_projector.folding import fold_all
from turnlog_projector.log import SessionKey
from turnlog_projector.readmodels import ReadModels
from turnlog_projector.sqlfiles import statement
from turnlog_projector.work import SessionWork
from turnlog_schemas.codec import RecordedEvent

LARGE_SESSION_EVENTS = 5000
"""Sessions of more events are folded in chunks against the tables, not in memory."""

_CHUNK_EVENTS = 2000
_NEARLY_THERE_EVENTS = 500


class Progress(NamedTuple):
    """Where a replay is."""

    phase: str
    """events, indexes, large sessions, catching up, flip"""
    done: int
    """Events folded so far."""
    total: int
    """Events in the archive when it began."""


Tell = Callable[[Progress], None]


class Rebuild:
    """One generation being built. `positions` says, for each partition, up to which place in the
    archive it is."""

    def __init__(self, connection: Database, url: str, generation: int, tell: Tell) -> None:
        self.connection = connection
        self.url = url
        self.generation = generation
        self.tell = tell
        self.parked: dict[SessionKey, Parked] = {}
        self.positions: dict[int, int] = {}
        self._large: list[SessionKey] = []
        self.done = 0
        self.total = 0

    def build(self, processes: int | None = None) -> None:
        """The rows of all sessions, nearly up to now, with indexes."""
        with self.connection.transaction():
            self.positions = self._archived()
            large = self.connection.execute(statement("large_sessions"), (LARGE_SESSION_EVENTS,))
            self._large = [SessionKey(*row) for row in large]
        self.total = sum(self.positions.values())
        self._say("events")
        self._copy_partitions(processes or min(os.cpu_count() or 1, 8))
        self._say("indexes")
        with self.connection.transaction():
            self.connection.execute(statement("replay_settings"))
            self.connection.execute(statement("generation_indexes", generation=self.generation))
        self.connection.execute(statement("analyze_generation", generation=self.generation))
        self._fold_large_sessions()
        while self._behind() > _NEARLY_THERE_EVENTS:
            self.catch_up()

    def catch_up(self) -> None:
        """Fold what was archived since, up to where the offsets stand now."""
        for partition, upto in self._archived().items():
            while self.positions.get(partition, 0) < upto:
                self._fold_since(partition, upto)
                self._say("catching up")

    def fold_skipped(self) -> None:
        """Fold on what an operator has skipped since this replay met it."""
        for key, parked in list(self.parked.items()):
            skips = skipped_by_session(self.connection, key.partition).get(key, NO_SKIPS)
            if parked.seq in skips:
                del self.parked[key]
                self._fold_session(key, parked.seq, skips)

    def write_parked(self) -> None:
        """Make the parked sessions those of this generation."""
        self.connection.execute(statement("unpark_all"))
        for parked in self.parked.values():
            key = parked.key
            self.connection.execute(
                statement("park_in_generation"),
                {
                    **key._asdict(),
                    "seq": parked.seq,
                    "event_id": parked.event_id,
                    "error": parked.error,
                },
            )

    def _archived(self) -> dict[int, int]:
        rows = self.connection.execute("SELECT partition, pos FROM turnlog.offsets ORDER BY 1")
        return {row[0]: row[1] for row in rows}

    def _behind(self) -> int:
        return sum(self._archived().values()) - sum(self.positions.values())

    def _say(self, phase: str) -> None:
        self.tell(Progress(phase, self.done, max(self.total, self.done)))

    def _copy_partitions(self, processes: int) -> None:
        spawn = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(processes, mp_context=spawn, initializer=start_process)
        try:
            tasks = [
                pool.submit(
                    copy_partition,
                    self.url,
                    self.generation,
                    partition,
                    pos,
                    [key for key in self._large if key.partition == partition],
                )
                for partition, pos in self.positions.items()
                if pos
            ]
            for task in as_completed(tasks):
                result = task.result()
                self.done += result.events
                self.parked |= result.parked
                self._say("events")
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _fold_large_sessions(self) -> None:
        for key in self._large:
            skips = skipped_by_session(self.connection, key.partition).get(key, NO_SKIPS)
            self._fold_session(key, 1, skips)

    def _fold_session(self, key: SessionKey, first: int, skips: frozenset[int]) -> None:
        """Fold one session against the tables, from a seq on, in chunks."""
        while key not in self.parked:
            events = self.connection.execute(
                statement("archived_chunk"),
                {
                    **key._asdict(),
                    "first": first,
                    "pos": self.positions[key.partition],
                    "count": _CHUNK_EVENTS,
                },
            ).fetchall()
            if not events:
                break
            first = events[-1][0] + 1
            with self.connection.transaction():
                self._fold_rows({key: events}, {key: skips})
            self.done += len(events)
            self._say("large sessions")

    def _fold_since(self, partition: int, upto: int) -> None:
        first = self.positions.get(partition, 0) + 1
        last = min(first + _CHUNK_EVENTS - 1, upto)
        rows = self.connection.execute(
            statement("archived_since"), {"partition": partition, "first": first, "last": last}
        )
        sessions: dict[SessionKey, list[Any]] = {}
        for row in rows:
            sessions.setdefault(SessionKey(partition, row[0], row[1]), []).append(row[2:])
        with self.connection.transaction():
            self._fold_rows(sessions, skipped_by_session(self.connection, partition))
        self.positions[partition] = last
        self.done += last - first + 1

    def _fold_rows(
        self,
        sessions: dict[SessionKey, list[Any]],
        skips: dict[SessionKey, frozenset[int]],
    ) -> None:
        """Fold archived events against the tables of the generation, and write what they change."""
        models = ReadModels(self.connection, self.generation)
        found = models.heads(sessions)
        works: list[tuple[SessionWork, list[RecordedEvent]]] = []
        for key, rows in sessions.items():
            if key in self.parked:
                continue
            session = found[key][1]
            work = SessionWork(key, session, models if session is not None else None)
            decoded = decode_rows(key, rows, skips.get(key, NO_SKIPS))
            if decoded.stopped is not None:
                self.parked[key] = decoded.stopped
            works.append((work, decoded.events))
        self.parked |= {parked.key: parked for parked in fold_all(models, works)}
        with self.connection.cursor() as cursor:
            write_rows(cursor, self.generation, [work for work, _ in works], large=True)
