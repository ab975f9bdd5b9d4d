"""Search in tests: indexed by hand, without a worker."""

from turnlog_projector.database import Database, connect_postgres
from turnlog_projector.generations import active_generation
from turnlog_projector.search_index import index_some


def index_all(connection: Database, *, partitions: int = 4, events: int = 500) -> int:
    """Index all that is projected; returns how many transactions that took."""
    for steps in range(1, 10_000):
        done = index_some(
            connection, active_generation(connection), range(partitions), events=events
        )
        if not (done.events or done.rows or done.more):
            return steps
    raise AssertionError("10,000 rounds of indexing came to no end")


def index_at(postgres_url: str) -> None:
    """The same over a connection of its own."""
    with connect_postgres(postgres_url) as connection:
        index_all(connection)


def rows_of(connection: Database, generation: int = 1) -> list[tuple[str, int, str]]:
    """Session, seq and words of every row, without the words that narrow a search."""
    rows = connection.execute(
        f"SELECT session_id, seq, words::text FROM g{generation:d}.search ORDER BY 1, 2"  # pyright: ignore[reportArgumentType, reportCallIssue]
    ).fetchall()
    return [
        (row[0], row[1], " ".join(word for word in row[2].split() if not word.startswith("'@")))
        for row in rows
    ]
