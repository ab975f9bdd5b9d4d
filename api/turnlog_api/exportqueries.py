"""What an export asks of Postgres: sessions, their turns, their events, piece by piece.

All are `Query` objects, so that the API's pool, a job in a process of its own and the command line
ask the same statements.
"""

from binascii import unhexlify
from typing import Any, NamedTuple

from psycopg.types.numeric import Int8
from pydantic_core import from_json

from turnlog_api.logsteps import LogEvent
from turnlog_api.queries import Filters, Query, scoped
from turnlog_api.rows import Rows
from turnlog_api.scope import Scope
from turnlog_projector.log import SessionKey, StoredEvent
from turnlog_schemas import times
from turnlog_schemas.ids import partition_of

Path = tuple[tuple[str, int], ...]
"""Which turns a branch shows: (branch_id, last seq), oldest first."""


class Piece(NamedTuple):
    """How much is read at once: whichever of the two is reached first."""

    items: int
    size: int
    """Bytes."""


class ExportedSession(NamedTuple):
    """A session as it is at the moment at which its export begins."""

    session_id: str
    seq: int
    event_id: str
    body: bytes
    """The session's item, JSON."""
    branches: int
    path: Path | None
    """Of the branch that is shown; None: it was not asked for, or there is no turn."""
    partition: int


class TurnsPiece(NamedTuple):
    """The next turns of a session: their seqs and items, and whether more may follow."""

    seqs: list[int]
    bodies: list[bytes]
    more: bool


class EventsPiece(NamedTuple):
    """The next events of a session, and the seqs of those that an operator has declared void.
    `folded_seq`: up to here the read models hold the session."""

    events: list[LogEvent]
    skipped: frozenset[int]
    folded_seq: int


class SessionsPiece(NamedTuple):
    """The next sessions, and the key of the last one (updated_at, session_id) when more may
    follow."""

    sessions: list[ExportedSession]
    last: tuple[str, str] | None


class Total(NamedTuple):
    """How much there is to export."""

    sessions: int
    turns: int
    """Over all branches."""
    events: int


def export_session(scope: Scope, session_id: str) -> Query[ExportedSession | None]:
    """One session; None when there is none that the caller may read."""

    def read(rows: Rows) -> ExportedSession | None:
        seq, event_id, body = rows.number(0, 1), rows.text(0, 2), rows.raw(0, 3)
        if seq is None or event_id is None or body is None:
            return None
        path = rows.raw(0, 5)
        return ExportedSession(
            session_id,
            seq,
            event_id,
            body,
            rows.number(0, 4) or 0,
            None if path is None else tuple((step[0], step[1]) for step in from_json(path)),
            partition_of(scope.tenant, session_id, rows.number(0, 6) or 1),
        )

    return scoped("export_session", scope, frozenset(), read, session_id=session_id)


def export_sessions(
    scope: Scope, filters: Filters, last: tuple[str, str] | None, count: int
) -> Query[SessionsPiece]:
    """The next sessions that are not deleted, the newest `updated_at` first, behind `last`."""
    given, parts = _given(scope, filters)
    if last is not None:
        given["last_time"], given["last_id"] = last
        parts |= {"last_id"}

    def read(rows: Rows) -> SessionsPiece:
        if rows.raw(0, 2) is None:
            return SessionsPiece([], None)
        found = [
            ExportedSession(
                session_id := rows.text(row, 2) or "",
                rows.number(row, 3) or 0,
                "",
                rows.raw(row, 5) or b"",
                rows.number(row, 4) or 0,
                None,
                partition_of(scope.tenant, session_id, rows.number(row, 6) or 1),
            )
            for row in range(rows.count)
        ]
        if len(found) < count:
            return SessionsPiece(found, None)
        return SessionsPiece(
            found, (times.normalise(rows.text(rows.count - 1, 1) or ""), found[-1].session_id)
        )

    return scoped("export_sessions", scope, parts, read, limit=Int8(count), **given)


def export_total(scope: Scope, filters: Filters) -> Query[Total]:
    """How much `export_sessions` comes to."""

    def read(rows: Rows) -> Total:
        return Total(*(rows.number(0, column) or 0 for column in (1, 2, 3)))

    given, parts = _given(scope, filters)
    return scoped("export_total", scope, parts - {"own_and_shared"}, read, **given)


def export_turns(
    scope: Scope, session: ExportedSession, after: int, piece: Piece
) -> Query[TurnsPiece | None]:
    """The next visible turns up to the session's seq, of its path or of all branches; None when
    the caller may not read it any more."""
    given: dict[str, Any] = {
        "session_id": session.session_id,
        "after": Int8(after),
        "upto": Int8(session.seq),
        "count": Int8(piece.items),
        "bytes": Int8(piece.size),
    }
    parts: frozenset[str] = frozenset()
    if session.path is not None:
        given["branches"] = [branch_id for branch_id, _ in session.path]
        given["ends"] = [Int8(end) for _, end in session.path]
        parts = frozenset({"path"})

    def read(rows: Rows) -> TurnsPiece | None:
        if rows.number(0, 1) is None:
            return None
        if rows.number(0, 3) is None:
            return TurnsPiece([], [], False)
        seqs = [rows.number(row, 3) or 0 for row in range(rows.count)]
        bodies = [rows.raw(row, 4) or b"" for row in range(rows.count)]
        found = rows.number(0, 2) or 0
        return TurnsPiece(seqs, bodies, rows.count < found or found == piece.items)

    return scoped("export_turns", scope, parts, read, **given)


def export_events(
    scope: Scope, session: ExportedSession, first: int, piece: Piece
) -> Query[EventsPiece | None]:
    """The next archived events from seq `first` on; None when the caller may not read the session
    any more."""
    key = SessionKey(session.partition, scope.tenant, session.session_id)
    given: dict[str, Any] = {
        **key._asdict(),
        "first": first,
        "last": 2**62,
        "count": piece.items,
        "bytes": piece.size,
    }

    def read(rows: Rows) -> EventsPiece | None:
        folded_seq = rows.number(0, 1)
        if folded_seq is None:
            return None
        if rows.number(0, 2) is None:
            return EventsPiece([], frozenset(), folded_seq)
        events = [_event(rows, row) for row in range(rows.count)]
        skipped = {events[row].seq for row in range(rows.count) if rows.raw(row, 7) == b"t"}
        return EventsPiece(events, frozenset(skipped), folded_seq)

    asked = scoped("export_events", scope, frozenset({"asc"}), read, **given)
    # The log is shown session by session, to whom the statement itself finds may read it.
    return asked._replace(scope=Scope(scope.tenant, only_session=session.session_id))


def _event(rows: Rows, row: int) -> LogEvent:
    raw = unhexlify((rows.raw(row, 5) or b"").removeprefix(b"\\x"))
    stored = StoredEvent(
        rows.number(row, 2) or 0, rows.text(row, 3) or "", rows.number(row, 4) or 0, raw
    )
    return LogEvent(stored, rows.number(row, 6))


def _given(scope: Scope, filters: Filters) -> tuple[dict[str, Any], frozenset[str]]:
    """The filters as parameters, and the parts of the statement that go with them."""
    given = {name: value for name, value in filters._asdict().items() if value is not None}
    parts = frozenset(given)
    if scope.user_id is not None and filters.user_id is None:
        parts |= {"own_and_shared"}
    return given, parts
