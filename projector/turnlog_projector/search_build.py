"""Making a generation searchable that a replay has just built: from its turns, partition by
partition, on every core, and the index last. What comes afterwards follows as usual."""

import time
from collections.abc import Iterator
from functools import partial

from pydantic_core import from_json

from turnlog_projector.batch import copy_rows
from turnlog_projector.crew import Kept, crew_size, share
from turnlog_projector.database import Database, connect_postgres
from turnlog_projector.following import Follower, Progress
from turnlog_projector.search import lock
from turnlog_projector.search_rows import Changes, load_sessions
from turnlog_projector.sqlfiles import statement

_CHUNK_TURNS = 1000
_CHUNK_BYTES = 4 * 1024 * 1024
_CHUNK_TITLES = 1000


def build_search(follower: Follower, processes: int | None = None) -> float:
    """Fill the empty table `search` of a generation that is being built, and index it; returns how
    many seconds that took. It is searchable up to where it has followed the archive."""
    began = time.monotonic()
    connection, generation = follower.connection, follower.number
    positions = dict(follower.positions)
    connection.execute(
        statement("put_search_positions"),
        {
            "generation": generation,
            "partitions": list(positions),
            "positions": list(positions.values()),
        },
    )
    done, total = 0, sum(positions.values())
    calls = [(follower.url, generation, number) for number, pos in positions.items() if pos]
    for turns in share(build_partition, calls, processes=crew_size(total, processes)):
        done += turns
        follower.tell(Progress("search", done, total))
    with connection.transaction():
        connection.execute(statement("replay_settings"))
        connection.execute(statement("search_indexes", generation=generation))
    connection.execute(statement("analyze_search", generation=generation))
    return time.monotonic() - began


def build_partition(kept: Kept, url: str, generation: int, partition: int) -> Iterator[int]:
    """Copy the rows of a partition in; yields how many turns were gone through since. Each chunk
    is read and written in one transaction that holds the lock: what is erased meanwhile goes."""
    connection: Database = kept.get("searching", partial(_connect, url))
    after = {"tenant": "", "session_id": ""}
    while True:
        with connection.transaction():
            lock(connection, generation, [partition])
            names = connection.execute(
                statement("search_build_titled", generation=generation),
                {"partition": partition, **after, "count": _CHUNK_TITLES},
            ).fetchall()
            changes = Changes()
            for session in load_sessions(connection, generation, names).values():
                changes.title(session)
            _copy(connection, generation, changes)
        if len(names) < _CHUNK_TITLES:
            break
        after = {"tenant": names[-1][0], "session_id": names[-1][1]}
    last = ("", "", 0)
    while True:
        with connection.transaction():
            lock(connection, generation, [partition])
            rows = connection.execute(
                statement("search_build_turns", generation=generation),
                {
                    "partition": partition,
                    **dict(zip(("tenant", "session_id", "seq"), last, strict=True)),
                    "count": _CHUNK_TURNS,
                    "size": _CHUNK_BYTES,
                },
            ).fetchall()
            if not rows:
                return
            sessions = load_sessions(connection, generation, ((row[0], row[1]) for row in rows))
            changes = Changes()
            for tenant, session_id, body in rows:
                turn = from_json(body)
                last = (tenant, session_id, turn["seq"])
                session = sessions.get((tenant, session_id))
                if session is not None:
                    changes.turn(session, turn, is_new=True)
            _copy(connection, generation, changes)
        yield len(rows)


def _copy(connection: Database, generation: int, changes: Changes) -> None:
    with connection.cursor() as cursor:
        copy_rows(cursor, statement("copy_search", generation=generation), changes.put.values())


def _connect(url: str) -> Database:
    connection = connect_postgres(url, application_name="turnlog replay")
    connection.execute("SET synchronous_commit = off")
    return connection
