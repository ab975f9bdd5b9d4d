"""`turnlog archive dump`: the whole log, as one file of lines, while everything goes on."""

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from psycopg import IsolationLevel

from turnlog_projector.archive_lines import (
    FORMAT,
    DumpedEvent,
    Header,
    end_line,
    event_line,
    line,
    new_digest,
)
from turnlog_projector.batch import event_hash
from turnlog_projector.database import Database, check_schema, connect_postgres
from turnlog_projector.errors import NotReady
from turnlog_projector.sqlfiles import statement
from turnlog_schemas import times
from turnlog_schemas.errors import TurnlogError

_PIECE_BYTES = 256 * 1024
_TOLD_EVERY = 1000
_TYPES = ("text", "text", "int8", "text", "int8", "int8", "bytea", "bytea")


class DamagedArchive(TurnlogError):
    """The archive is not whole, so a dump of it would not be either."""


class DumpReport(NamedTuple):
    """What a dump holds."""

    log_id: str
    partitions: int
    events: int
    sessions: int
    parked: int
    erasures: int
    bytes: int
    """Of the lines, before any compression."""
    seconds: float


def dump_archive(
    postgres_url: str,
    write: Callable[[bytes], object],
    *,
    tell: Callable[[int, int], None] | None = None,
) -> DumpReport:
    """Write the archive as lines, as it is at one moment; `tell` is given events done and in all.

    Readers and writers go on meanwhile; only the archive is read, so what Redis holds beyond it is
    left out. Memory is bounded. Raises `DamagedArchive` where bytes do not match their hash or an
    event is missing (what was written by then is no dump), and what `write` raises.
    """
    began = time.monotonic()
    with connect_postgres(postgres_url, application_name="turnlog archive dump") as connection:
        check_schema(connection)
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        with connection.transaction():
            header = _header(connection)
            written = _Written(write)
            for text in _lines(connection, header, tell or (lambda _done, _total: None)):
                written.add(text)
            written.end(header.events)
    return DumpReport(
        header.log_id,
        header.partitions,
        header.events,
        header.sessions,
        header.parked,
        header.erasures,
        written.bytes,
        time.monotonic() - began,
    )


class _Written:
    """Hands lines on in larger pieces, and counts and digests them."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self.bytes = 0
        self._write = write
        self._digest = new_digest()
        self._piece: list[bytes] = []
        self._size = 0

    def add(self, text: bytes) -> None:
        self._piece.append(text)
        self._size += len(text)
        if self._size >= _PIECE_BYTES:
            self._flush()

    def end(self, events: int) -> None:
        """Close with the line that tells whether the file is whole."""
        self._flush()
        self.add(end_line(events, self._digest.digest()))
        self._flush()

    def _flush(self) -> None:
        piece = b"".join(self._piece)
        self._digest.update(piece)
        self.bytes += len(piece)
        self._write(piece)
        self._piece = []
        self._size = 0


def _header(connection: Database) -> Header:
    row = connection.execute(statement("dump_header")).fetchone()
    if row is None:
        raise NotReady("the database belongs to no log yet: run `turnlog init`")
    log_id, partitions, events, sessions, parked, erasures = row
    return Header(FORMAT, log_id, partitions, events, sessions, parked, erasures, times.now())


def _lines(
    connection: Database, header: Header, tell: Callable[[int, int], None]
) -> Iterator[bytes]:
    yield line(header._asdict())
    for kind in ("parked", "erasures"):
        with connection.cursor(name=f"dump_{kind}") as cursor:
            cursor.execute(statement(f"dump_{kind}"))
            for row in cursor:
                yield line({kind: row[0]})
    done = 0
    for event in _events(connection):
        if event_hash(event.raw) != event.hash:
            raise DamagedArchive(
                f"event {event.seq} of session {event.tenant}:{event.session_id}: the archived "
                "bytes do not match their hash; `turnlog verify --all` names everything of the kind"
            )
        yield event_line(event)
        done += 1
        if done % _TOLD_EVERY == 0:
            tell(done, header.events)
    if done != header.events:
        raise DamagedArchive(
            f"the archive holds {done} events, and should hold {header.events}: "
            "`turnlog verify --all` names what is missing"
        )
    tell(done, header.events)


def _events(connection: Database) -> Iterator[DumpedEvent]:
    with connection.cursor() as cursor, cursor.copy(statement("dump_archive")) as stream:
        stream.set_types(_TYPES)
        for row in stream.rows():
            yield DumpedEvent(*row)
