"""What the archive has held for how long: noted now and then, for trimming to go by.

The time at which an event was recorded says nothing of that: a projector that was away for a week
has archived it just now.
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import NamedTuple

from turnlog_projector.database import Database
from turnlog_projector.sqlfiles import statement

INDEX_AGE = timedelta(hours=1)
"""How long index entries stay that are projected: somebody may be following the log by them."""


_LONGEST_INTERVAL = timedelta(hours=1)


class TrimRule(NamedTuple):
    """What is to go from Redis."""

    older_than: timedelta
    """Events that the archive has held for so long."""
    quiet_after: timedelta
    """A session goes whole when the archive has held its last event for so long; at least
    `older_than`."""
    keep_events: int
    """The newest events of any other session stay, as many as this."""

    @classmethod
    def of(cls, older_than: timedelta, quiet_after: timedelta, keep_events: int) -> "TrimRule":
        return cls(older_than, max(older_than, quiet_after), keep_events)

    @property
    def interval(self) -> timedelta:
        """How much time may lie between two marks: an hour, less where days are not the measure."""
        return min(self.older_than / 24, _LONGEST_INTERVAL)


class Cut(NamedTuple):
    """What a rule means for one partition, by places in its archive (0: nothing)."""

    partition: int
    n: int
    """The anchor, with session and last event id: the index entry that is projected up to."""
    session: str
    event_id: str
    archived: int
    """Up to this place the archive has held the events for long enough."""
    quiet: int
    """The same for the last events of quiet sessions."""
    keep_from: int
    """The first index entry to keep."""


def mark(connection: Database, partitions: Iterable[int], interval: timedelta) -> None:
    """Note how far the partitions are archived now, unless that was done within the interval; and
    forget notes that are too fine for their age."""
    wanted = {"partitions": list(partitions), "interval": interval.total_seconds()}
    connection.execute(statement("trim_mark"), wanted)
    connection.execute(statement("trim_thin_marks"), wanted)


def cuts(connection: Database, partitions: Sequence[int], rule: TrimRule) -> list[Cut]:
    """What a rule means for some partitions now."""
    rows = connection.execute(
        statement("trim_cuts"),
        {
            "partitions": list(partitions),
            "older_than": rule.older_than.total_seconds(),
            "quiet_after": rule.quiet_after.total_seconds(),
            "index_age": min(rule.older_than, INDEX_AGE).total_seconds(),
        },
    )
    return [Cut(*row) for row in rows]
