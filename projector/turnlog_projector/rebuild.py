"""Building a generation from the archive.

First every session is folded as of a noted place in the archive and copied in, partition by
partition, on every core; then come the indexes, and the sessions too large to hold in memory. What
was archived since follows, see `following`.
"""

from turnlog_projector.batch import Parked
from turnlog_projector.copying import (
    LARGE_SESSION_EVENTS,
    Copied,
    copy_partition,
)
from turnlog_projector.crew import crew_size, share
from turnlog_projector.database import Database
from turnlog_projector.digest import added
from turnlog_projector.following import Follower, Tell
from turnlog_projector.generations import Generation, move_positions
from turnlog_projector.log import SessionKey
from turnlog_projector.sqlfiles import statement


class Rebuild(Follower):
    """One generation being built, from nothing. `done` counts all events gone through."""

    def __init__(self, connection: Database, url: str, generation: Generation, tell: Tell) -> None:
        super().__init__(connection, url, generation, tell)
        self.large: list[SessionKey] = []
        """Sessions that were folded against the tables, in chunks."""
        self.copied = Copied(0, 0, 0, {}, [])
        """What all processes together have copied."""

    def build(self, processes: int | None = None) -> None:
        """The rows of all sessions as of now, with indexes."""
        with self.connection.transaction():
            rows = self.connection.execute("SELECT partition, pos FROM turnlog.offsets ORDER BY 1")
            self.positions = {row[0]: row[1] for row in rows}
            self.skips = self.skipped()
            large = self.connection.execute(statement("large_sessions"), (LARGE_SESSION_EVENTS,))
            self.large = [SessionKey(*row) for row in large]
        self.total = sum(self.positions.values())
        self.say("events")
        self._copy_partitions(processes)
        self.say("indexes")
        with self.connection.transaction():
            self.connection.execute(statement("replay_settings"))
            self.connection.execute(statement("generation_indexes", generation=self.number))
        self.connection.execute(statement("analyze_generation", generation=self.number))

    def newly_parked(self) -> list[Parked]:
        """Sessions that cannot be folded in this generation, and could in the live one."""
        rows = self.connection.execute(statement("parked_sessions"))
        known = {SessionKey(*row) for row in rows}
        return [parked for key, parked in sorted(self.parked.items()) if key not in known]

    def begin_to_follow(self) -> None:
        """Note how far it is, for others too, and fold the large sessions."""
        with self.connection.transaction():
            move_positions(self.connection, self.number, self.positions)
        for key in self.large:
            self.say("large sessions")
            self.refold(key)

    def _copy_partitions(self, processes: int | None) -> None:
        calls = [
            (
                self.url,
                self.number,
                partition,
                pos,
                self.generation.until_recorded_at,
                [key for key in self.large if key.partition == partition],
            )
            for partition, pos in self.positions.items()
            if pos
        ]
        for copied in share(copy_partition, calls, processes=crew_size(self.total, processes)):
            self.copied = Copied(
                self.copied.sessions + copied.sessions,
                self.copied.events + copied.events,
                added(self.copied.digest, copied.digest),
                {},
                [],
            )
            self.parked |= copied.parked
            self.large += copied.large
            self.done = self.copied.events
            self.say("events")
