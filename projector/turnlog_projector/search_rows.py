"""The rows of search, made from rows of the read models."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import psycopg

from turnlog_projector.database import Database
from turnlog_projector.sqlfiles import statement
from turnlog_projector.tables import columns
from turnlog_schemas.searchtext import SearchScope, title_vector, turn_vector

logger = logging.getLogger(__name__)

_REFUSED = (
    psycopg.DataError,
    psycopg.errors.ProgramLimitExceeded,
    psycopg.errors.SyntaxError,  # of a tsvector
)

Name = tuple[str, str]
"""Tenant and session_id."""

Row = tuple[str, str, int, str, str]
"""Tenant, session_id, seq, at, words."""

Key = tuple[str, str, int]
"""Tenant, session_id, seq; seq 0 stands for the title."""


class Searched(NamedTuple):
    """What search has to know of a session."""

    scope: SearchScope
    floor: int
    title: str | None
    """The title, if somebody gave it."""
    titled_at: str | None


class Changes:
    """Rows to put and rows to remove, each at most once."""

    def __init__(self) -> None:
        self.put: dict[Key, Row] = {}
        self.gone: set[Key] = set()

    def turn(self, session: Searched, turn: Mapping[str, Any], *, is_new: bool = False) -> None:
        """Take a turn as it stands. One that `is_new` has no row that would have to go."""
        scope, seq = session.scope, turn["seq"]
        words = turn_vector(turn, scope) if seq > session.floor else None
        key = (scope.tenant, scope.session_id, seq)
        if words is not None:
            self.put[key] = (*key, turn["at"], words)
        elif not is_new:
            self.gone.add(key)

    def title(self, session: Searched) -> None:
        """Take the title of a session as it stands."""
        scope, title, at = session.scope, session.title, session.titled_at
        words = title_vector(title, scope) if title is not None else None
        key = (scope.tenant, scope.session_id, 0)
        if words is not None and at is not None:
            self.put[key] = (*key, at, words)
        else:
            self.gone.add(key)

    def write(self, connection: Database, generation: int) -> None:
        """Write them; the caller holds the lock (`search.lock`). A row that Postgres refuses stays
        unfound: one text must not stop the search of all others."""
        gone = sorted(self.gone - self.put.keys())
        if gone:
            remove = statement("remove_search_rows", generation=generation)
            connection.execute(remove, columns(gone, 3))
        if not self.put:
            return
        rows = list(self.put.values())
        if _put(connection, generation, rows):
            return
        for row in rows:
            if not _put(connection, generation, [row]):
                logger.warning("session %s:%s: turn %d cannot be searched", *row[:3])


def _put(connection: Database, generation: int, rows: list[Row]) -> bool:
    """False, and nothing is written, when Postgres refuses one of them."""
    try:
        with connection.transaction():
            put = statement("put_search", generation=generation)
            connection.execute(put, columns(rows, 5))
    except _REFUSED:
        return False
    return True


def load_sessions(
    connection: Database, generation: int, names: Iterable[Name]
) -> dict[Name, Searched]:
    """Those of the sessions that exist and are not erased."""
    tenants, session_ids = columns(sorted(set(names)), 2)
    rows = connection.execute(
        statement("search_sessions", generation=generation),
        {"tenants": tenants, "session_ids": session_ids},
    )
    return {
        (row[0], row[1]): Searched(SearchScope(*row[:4], shared=row[4]), row[5], row[6], row[7])
        for row in rows
    }
