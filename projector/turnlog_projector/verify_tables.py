"""What can only be verified of the tables as a whole: rows of sessions that the log does not know,
counts of the archive, the list of parked sessions."""

from collections.abc import Iterator

from turnlog_projector.database import Database
from turnlog_projector.log import SessionKey
from turnlog_projector.sqlfiles import statement
from turnlog_projector.verify_differences import Difference
from turnlog_schemas.ids import partition_of

MOST_STRAYS = 10_000


def stray_sessions(connection: Database, generation: int, partitions: int) -> list[SessionKey]:
    """Sessions that a generation holds and heads does not know, at most `MOST_STRAYS`. (Those that
    the archive knows and heads does not are met in the archive.)"""
    rows = connection.execute(
        statement("stray_sessions", generation=generation), (MOST_STRAYS,)
    ).fetchall()
    return [SessionKey(partition_of(row[0], row[1], partitions), row[0], row[1]) for row in rows]


def check_offsets(connection: Database) -> Iterator[Difference]:
    """Whether each offset counts what the archive holds, place by place from 1 on."""
    for partition, counted, events, last in connection.execute(statement("check_offsets")):
        row = f"partition {partition}"
        for field, expected in (("events", events), ("pos", last)):
            if expected != counted:
                yield Difference("", "", None, "offsets", row, field, expected, counted)


def check_parked(connection: Database) -> Iterator[Difference]:
    """Whether the list of parked sessions names those that wait."""
    for tenant, session_id, listed, waits in connection.execute(statement("check_parked")):
        yield Difference(tenant, session_id, waits, "parked", "", "seq", waits, listed)
