"""Verifying a session that is too large for memory: it is folded into temporary tables, and these
are compared with the generation by SQL. All within the caller's snapshot."""

from collections.abc import Iterator

from psycopg import sql

from turnlog_projector.database import Database
from turnlog_projector.digest import SessionDigest
from turnlog_projector.lines import TABLES
from turnlog_projector.log import LogReader, SessionKey
from turnlog_projector.refold import refold_session
from turnlog_projector.sqlfiles import SCRATCH, statement
from turnlog_projector.verify_differences import Difference, compare
from turnlog_projector.verify_log import ArchiveCheck, check_head, compare_stream
from turnlog_projector.verify_reading import (
    ArchiveRow,
    HeadRow,
    Limits,
    Page,
    archive_rows,
    in_chunks,
    stream_lines,
)
from turnlog_projector.verify_sessions import Checked, check_parked, misplaced
from turnlog_schemas.ids import partition_of


def check_large(
    connection: Database,
    log: LogReader | None,
    limits: Limits,
    key: SessionKey,
    head: HeadRow | None,
    *,
    partitions: int,
) -> tuple[Checked, bool]:
    """Verify one session; also tells whether it differs from its stream. The caller holds a
    snapshot of its own for it, not read-only: the temporary tables made in it go at its end."""
    archive = _Archive(limits, key, head)
    with archive_rows(connection, Page(key.partition, None, None, [key])) as rows:
        for chunk in in_chunks(rows):
            archive.take(chunk, log)
    differences = archive.differences
    differences += check_head(key, head, archive.check.last)
    differences += archive.check.stubs.unlawful()
    connection.execute(statement("scratch", generation=limits.generation.generation))
    if archive.upto:
        stopped = refold_session(connection, SCRATCH, key, upto_seq=archive.upto)
        if limits.live:
            differences += check_parked(key, head, stopped.seq if stopped else None)
    if partition_of(key.tenant, key.session_id, partitions) != key.partition:
        differences.append(misplaced(key, partitions))
    expected = _digest(connection, SCRATCH, key)
    found = _digest(connection, limits.generation.generation, key)
    if expected != found:
        differences += _compare(connection, limits.generation.generation, key)
    return Checked(1, archive.check.seq, expected, found, differences), archive.suspect


class _Archive:
    """Goes through the archived events of the session, chunk by chunk."""

    def __init__(self, limits: Limits, key: SessionKey, head: HeadRow | None) -> None:
        self.check = ArchiveCheck(key)
        self.differences: list[Difference] = []
        self.suspect = False
        self.upto = 0
        """Up to which seq the generation holds the session."""
        self._limits = limits
        self._key = key
        self._ended = not limits.generation.has(key.tenant, key.session_id)
        self._parked_seq = limits.waits_at(key, head)

    def take(self, chunk: list[ArchiveRow], log: LogReader | None) -> None:
        for row in chunk:
            self.differences += self.check.take(row)
            self._ended = (
                self._ended
                or row.event.seq == self._parked_seq
                or not self._limits.holds(self._key, row)
            )
            if not self._ended:
                self.upto = row.event.seq
        if log is not None:
            [tail] = log.tails([(self._key, chunk[0].event.seq, chunk[-1].event.seq)])
            archived = [row.event for row in chunk]
            self.suspect = self.suspect or any(compare_stream(self._key, archived, tail.events))


def _digest(connection: Database, generation: int, key: SessionKey) -> int:
    digest = SessionDigest()
    for table in TABLES:
        for line in stream_lines(connection, generation, table, key):
            digest.add(table, line)
    return digest.value()


def _compare(connection: Database, generation: int, key: SessionKey) -> Iterator[Difference]:
    """Read only the rows that differ, at most 10,000 of a read model."""
    for table in TABLES:
        sides: list[bytes] = []
        for name in ("lines_missing", "lines_superfluous"):
            query = sql.SQL(statement(name, generation=generation))
            with (
                connection.cursor() as cursor,
                cursor.copy(query.format(table=sql.Identifier(table)), key[1:]) as stream,
            ):
                sides.append(b"".join([bytes(line) for line in stream]))
        yield from compare(key, table, *sides)
