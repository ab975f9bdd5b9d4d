"""What a verification reads of Postgres: snapshots of heads, archive and a generation."""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

from psycopg import IsolationLevel, sql

from turnlog_projector.archive import FETCH_EVENTS, LARGE_EVENT_BYTES, large_event
from turnlog_projector.database import Database, connect_postgres
from turnlog_projector.generations import Generation, find_generation, positions_of
from turnlog_projector.lines import (
    SETTINGS,
    TABLES,
    Lines,
    session_start,
    stored_line,
    stored_turn,
)
from turnlog_projector.log import SessionKey, StoredEvent
from turnlog_projector.sqlfiles import statement

_CHUNK_EVENTS = 500
_CHUNK_BYTES = 8 * 1024 * 1024
_HELD_BYTES = 32 * 1024 * 1024
# Sessions are read by their keys, few at a time. Whatever the statistics of a generation say, or
# when it has none, nothing beats its indexes at that.
_PLANS = {"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off"}


class HeadRow(NamedTuple):
    """What `turnlog.heads` says of a session."""

    seq: int
    event_id: str
    recorded_at: int
    parked_seq: int | None


class ArchiveRow(NamedTuple):
    """A row of the archive."""

    event: StoredEvent
    repeat_of: int | None
    pos: int
    hash: bytes


Refused = Mapping[SessionKey, int]
"""At which seq sessions wait, for Postgres refuses their rows."""
NONE_REFUSED: Refused = {}


class Limits(NamedTuple):
    """Up to where a generation holds the log."""

    generation: Generation
    positions: dict[int, int] | None
    """None for the live one: it holds all that is archived, but for what is parked."""
    refused: Refused = NONE_REFUSED
    """Where one that is being built waits; where the live one does is in heads."""

    @property
    def live(self) -> bool:
        return self.positions is None

    def waits_at(self, key: SessionKey, head: HeadRow | None) -> int | None:
        """The event before which a session is parked: the generation holds what comes before."""
        if self.live:
            return head.parked_seq if head is not None else None
        return self.refused.get(key)

    def holds(self, key: SessionKey, row: ArchiveRow) -> bool:
        """Whether it holds this event of a session that it has."""
        given = self.generation
        if self.positions is not None and row.pos > self.positions.get(key.partition, 0):
            return False
        if given.until_recorded_at is not None and row.event.recorded_at > given.until_recorded_at:
            return False
        return given.until_seq is None or row.event.seq <= given.until_seq


class Page(NamedTuple):
    """Some sessions of a partition: those behind one, up to and with another (None: to the end), or
    those named."""

    partition: int
    after: tuple[str, str] | None
    last: tuple[str, str] | None
    named: Sequence[SessionKey] = ()


def verify_connection(url: str) -> Database:
    """A connection whose transactions are snapshots, and that writes lines as we do."""
    connection = connect_postgres(url, application_name="turnlog verify")
    connection.isolation_level = IsolationLevel.REPEATABLE_READ
    for name, value in {**SETTINGS, **_PLANS}.items():
        connection.execute("SELECT set_config(%s, %s, false)", (name, value))
    return connection


@contextmanager
def snapshot(connection: Database, generation: int) -> Generator[Limits]:
    """A transaction that sees one state of everything. Raises `NoSuchGeneration`."""
    with connection.transaction():
        yield read_limits(connection, generation)


def read_limits(connection: Database, generation: int) -> Limits:
    """Up to where the generation holds the log, as of the caller's snapshot."""
    found = find_generation(connection, generation)
    if found.state == "live":
        return Limits(found, None)
    return Limits(found, positions_of(connection, generation))


def next_heads(
    connection: Database, partition: int, after: tuple[str, str], count: int
) -> dict[SessionKey, HeadRow]:
    """The next sessions of a partition behind one, in order."""
    rows = connection.execute(
        statement("verify_heads"),
        {"partition": partition, "tenant": after[0], "session_id": after[1], "count": count},
    )
    return {SessionKey(partition, *row[:2]): HeadRow(*row[2:]) for row in rows}


def heads_of(
    connection: Database, partition: int, keys: Sequence[SessionKey]
) -> dict[SessionKey, HeadRow]:
    """What heads says of some sessions of a partition; those that it does not know are left out."""
    rows = connection.execute(
        statement("verify_heads_of"), {"partition": partition, **_named(keys)}
    )
    return {SessionKey(partition, *row[:2]): HeadRow(*row[2:]) for row in rows}


@contextmanager
def archive_rows(
    connection: Database, page: Page
) -> Generator[Iterator[tuple[str, str, ArchiveRow]]]:
    """The archive of the sessions of a page, in order, as it comes."""
    with connection.cursor(name="verified", binary=True) as cursor:
        if page.named:
            cursor.execute(
                statement("verify_archive_of"),
                {
                    "partition": page.partition,
                    "large": LARGE_EVENT_BYTES,
                    **_named(page.named),
                },
            )
        else:
            after, last = page.after or ("", ""), page.last or (None, None)
            cursor.execute(
                statement("verify_archive"),
                {
                    "partition": page.partition,
                    "large": LARGE_EVENT_BYTES,
                    "tenant": after[0],
                    "session_id": after[1],
                    "last_tenant": last[0],
                    "last_session": last[1],
                },
            )
        fetched = chain.from_iterable(iter(partial(cursor.fetchmany, FETCH_EVENTS), []))
        yield map(partial(_archive_row, connection, page.partition), fetched)


def in_chunks(rows: Iterable[tuple[str, str, ArchiveRow]]) -> Iterator[list[ArchiveRow]]:
    """Rows of one session, a few MB at a time."""
    chunk: list[ArchiveRow] = []
    size = 0
    for _, _, row in rows:
        chunk.append(row)
        size += len(row.event.raw)
        if len(chunk) == _CHUNK_EVENTS or size >= _CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def found_lines(
    connection: Database, generation: int, keys: Sequence[SessionKey]
) -> dict[SessionKey, Lines]:
    """The rows that a generation holds of some sessions."""
    if not keys:
        return {}
    lists = [key.tenant for key in keys], [key.session_id for key in keys]
    starts = [session_start(key.tenant, key.session_id) for key in keys]
    found: dict[SessionKey, Lines] = {key: {} for key in keys}
    for table in TABLES:
        query = statement(f"lines_of_{table}", generation=generation)
        result = connection.execute(query, lists).pgresult
        assert result is not None, "a statement that reads has a result"
        rows: list[list[bytes]] = [[] for _ in keys]
        # The bytes as they came: making Python values of them would take most of the time.
        get, columns = result.get_value, range(1, result.nfields)
        make = stored_turn if table == "turns" else stored_line
        for row in range(result.ntuples):
            place = int(get(row, 0) or b"") - 1
            rows[place].append(make(starts[place], [get(row, column) for column in columns]))
        for key, lines in zip(keys, rows, strict=True):
            found[key][table] = b"".join(lines)
    return found


def held_at_once(
    connection: Database, generation: int, keys: Sequence[SessionKey]
) -> Iterator[list[SessionKey]]:
    """Sessions in parts of which `found_lines` makes no more than some MB, or one session."""
    named = _named(keys)
    rows = connection.execute(
        statement("sizes_of_turns", generation=generation), list(named.values())
    )
    sizes: dict[int, int] = dict(rows.fetchall())
    part: list[SessionKey] = []
    room = _HELD_BYTES
    for place, key in enumerate(keys, 1):
        size = sizes.get(place, 0)
        if part and size > room:
            yield part
            part, room = [], _HELD_BYTES
        part.append(key)
        room -= size
    if part:
        yield part


def stream_lines(
    connection: Database, generation: int, table: str, key: SessionKey
) -> Iterator[bytes]:
    """The rows of one session in one read model, one by one."""
    query = sql.SQL("COPY ({}) TO STDOUT").format(
        sql.SQL(statement(f"lines_of_{table}", generation=generation))
    )
    start = session_start(key.tenant, key.session_id)
    with connection.cursor() as cursor, cursor.copy(query, ([key[1]], [key[2]])) as stream:
        for data in stream:
            yield start + bytes(data).partition(b"\t")[2]


def _named(keys: Iterable[SessionKey]) -> dict[str, list[str]]:
    keys = list(keys)
    return {"tenants": [key.tenant for key in keys], "sessions": [key.session_id for key in keys]}


def _archive_row(connection: Database, partition: int, row: Any) -> tuple[str, str, ArchiveRow]:
    tenant, session_id, seq, event_id, recorded_at, raw, repeat_of, pos, hash_ = row
    if raw is None:
        raw, _ = large_event(connection, SessionKey(partition, tenant, session_id), seq)
    event = StoredEvent(seq, event_id, recorded_at, raw)
    return tenant, session_id, ArchiveRow(event, repeat_of, pos, hash_)
