"""Two workers over one log, both sure to own all of it, that fail where a test says."""

from contextlib import suppress
from typing import LiteralString, cast

import psycopg
import redis
from appending import NewEvent
from rig import Rig
from truth import COLUMNS

from turnlog_producers.keys import META
from turnlog_projector import generations, replay
from turnlog_projector.audit import settle
from turnlog_projector.batch import Batch, LostPartition
from turnlog_projector.log import LogReader
from turnlog_projector.projection import Projection

FAULTS = ["none", "none", "none", "before", "after", "cut", "overtaken"]
_DURABLE = "turnlog.heads, turnlog.archive, turnlog.parked, turnlog.healings, turnlog.erasures"


class Crash(Exception):
    """The worker process has died here."""


class FaultyProjection(Projection):
    """Fails at a commit, as told: before it, after it, by a cut connection, or because the other
    owner was quicker."""

    fault = "none"
    other: "FaultyProjection | None" = None

    def commit(self, batch: Batch) -> None:
        fault, self.fault = self.fault, "none"
        if fault == "before":
            raise Crash
        if fault == "cut":
            self.connection.close()
        if fault == "overtaken" and self.other is not None:
            self.other.fault = "none"
            self.other.step()
        super().commit(batch)
        if fault == "after":
            raise Crash

    def step(self) -> None:
        """One batch of whatever is there."""
        with suppress(LostPartition):  # it has then read the offsets again
            self.project(range(self.log.partitions))


class Stage:
    """Two workers, both sure to own every partition of a log that is empty at the start."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self._meta = cast(bytes, rig.client.get(META))
        self.workers: list[FaultyProjection] = []

    def clear(self) -> None:
        """An empty log, an empty database."""
        rig = self.rig
        rig.client.flushdb()
        rig.client.set(META, self._meta)
        generation = self.generation()
        for (other,) in rig.connection.execute(
            "SELECT generation FROM turnlog.generations WHERE state <> 'live'"
        ).fetchall():
            generations.drop_generation(rig.connection, other)
        tables = ", ".join(f"g{generation}.{table}" for table in COLUMNS)
        rig.connection.execute(cast(LiteralString, f"TRUNCATE {_DURABLE}, {tables}"))
        rig.connection.execute(
            "UPDATE turnlog.offsets SET n = 0, session = '', event_id = '', epoch = 0, pos = 0"
        )
        for worker in self.workers:
            worker.reload(range(rig.partitions))
        while len(self.workers) < 2:
            self.workers.append(self.start())
        self.pair()

    def start(self) -> FaultyProjection:
        """A new worker process."""
        fresh = self.rig.projection()
        made = FaultyProjection(LogReader(fresh.log.client, self.rig.partitions), fresh.connection)
        made.reload(range(self.rig.partitions))
        return made

    def pair(self) -> None:
        """Each of the two knows the other."""
        first, second = self.workers
        first.other, second.other = second, first

    def project(self, who: int, fault: str) -> None:
        """One batch by one of the two; a crash is followed by a new process."""
        worker = self.workers[who]
        worker.fault = fault
        try:
            if fault == "settle":
                settle(worker, self.rig.key("s0"), "a test says so")
            elif fault == "audit":
                self.rig.audit(worker, self.rig.key("s0").partition, move_anchor=True)
            else:
                worker.step()
        except LostPartition:
            return
        except (Crash, psycopg.OperationalError):
            self.rig.discard(worker)
            self.workers[who] = self.start()
            self.pair()
        worker.fault = "none"

    def append(self, session_id: str, events: list[NewEvent]) -> None:
        """Append, unless the session takes nothing more."""
        try:
            self.rig.writer.append(session_id, *events)
        except redis.ResponseError as error:
            if not str(error).startswith("ERASED"):
                raise

    def generation(self) -> int:
        row = self.rig.connection.execute("SELECT generation FROM turnlog.active").fetchone()
        assert row is not None
        return row[0]

    def replay(self) -> None:
        """Rebuild and flip, in this process."""
        replay.replay(self.rig.postgres_url, tell=lambda _: None, processes=1)
