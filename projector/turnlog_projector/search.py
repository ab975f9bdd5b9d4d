"""What is searched of a generation: its table, and the rule by which it stays true.

A row of `search` is made from the turn as the read models have it, so it can be made again at any
time. Whoever writes or removes rows of a generation and partition holds the row of
`turnlog.search_offsets` for it (`lock`) until the transaction ends, and reads the turns after that:
so text that was erased meanwhile is never written.
"""

from collections.abc import Iterable

from turnlog_projector.database import Database, scalar
from turnlog_projector.log import SessionKey
from turnlog_projector.sqlfiles import statement


def create_search(connection: Database, generation: int) -> None:
    """Make the empty table of a generation, without indexes, and what searches it."""
    connection.execute(statement("search", generation=generation))
    connection.execute(statement("search_functions", generation=generation))


def open_search(connection: Database, generation: int) -> None:
    """Let workers fill the table of a generation, from the start of the archive on."""
    connection.execute(statement("search_indexes", generation=generation))
    connection.execute(statement("put_search_offsets"), {"generation": generation})


def upgrade_search(connection: Database) -> None:
    """Give a table to the generations that were made before there was search. Only those that are
    or were live can be searched."""
    if scalar(connection, "SELECT to_regclass('turnlog.search_stale')") is None:
        return  # a schema of before
    for generation, state in connection.execute(statement("generations_without_search")).fetchall():
        with connection.transaction():
            create_search(connection, generation)
            if state in ("live", "kept"):
                open_search(connection, generation)


def lock(
    connection: Database, generation: int, partitions: Iterable[int], *, wait: bool = True
) -> dict[int, int]:
    """Keep other writers away until the transaction ends; returns up to where each partition can be
    searched. Without `wait` partitions that somebody else holds are left out."""
    query = statement("lock_search_offsets" if wait else "try_search_offsets")
    rows = connection.execute(query, {"generation": generation, "partitions": sorted(partitions)})
    return {row[0]: row[1] for row in rows}


def make_again(connection: Database, generation: int, key: SessionKey) -> None:
    """The rows of a session were changed otherwise than by events that came. Within the transaction
    that does it, when it is done: what must not be found is removed at once, the rest is made again
    by the worker that owns the partition."""
    lock(connection, generation, [key.partition])
    gone = {**key._asdict(), "without_text": True}
    connection.execute(statement("remove_search_unfounded", generation=generation), gone)
    connection.execute(statement("put_search_stale"), {"generation": generation, **key._asdict()})
