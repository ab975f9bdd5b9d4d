"""`turnlog archive restore`: a dumped log in another installation, seqs and all.

Reading the dump is one transaction: broken off before its end, nothing has happened. From then on
the archive is whole, and what remains (read models by a replay, the sessions in Redis) can be done
again and again: a row of `turnlog.restore` remembers that, and the same command goes on with it.

In Redis every session is cold: a head, no stream. That is what it would be after a week without
news.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import chain
from typing import Any, NamedTuple, cast

import psycopg
from psycopg.types.json import Jsonb
from redis import Redis

from turnlog_producers.head import Head
from turnlog_producers.keys import Keys, heads_key
from turnlog_producers.meta import read_meta
from turnlog_projector.archive_lines import BadDump, DumpReader, read_event
from turnlog_projector.batch import Archived
from turnlog_projector.database import Database, connect_postgres, connect_redis, scalar
from turnlog_projector.generations import drop_generation
from turnlog_projector.init import initialise
from turnlog_projector.log import SessionKey
from turnlog_projector.ownership import Ownership, ownership
from turnlog_projector.replay import replay
from turnlog_projector.sqlfiles import statement
from turnlog_projector.tables import Row, columns
from turnlog_schemas.errors import TurnlogError
from turnlog_schemas.ids import partition_of

_LOCK = 0x726573746F7265  # "restore"
_TOLD_EVERY = 1000
_HEADS_AT_ONCE = 1000
_TYPES = ("int4", "int8", "text", "text", "int8", "text", "int8", "int8", "bytea", "bytea")

Tell = Callable[[str, int, int], None]
"""Told the phase, how much of it is done, and how much that is in all."""

Numbered = tuple[int, dict[str, Any]]
"""An object of a dump, and the number of its line."""


class NotEmpty(TurnlogError):
    """The installation holds a log already."""


class RestoreReport(NamedTuple):
    """What was restored."""

    events: int
    sessions: int
    partitions: int
    generation: int
    """The read models that are live now."""
    went_on: bool
    """The archive was there already, from a restore that was broken off; the dump was not read."""
    seconds: float


def restore_archive(
    redis_url: str,
    postgres_url: str,
    lines: Iterable[bytes],
    *,
    tell: Tell,
    partitions: int | None = None,
    processes: int | None = None,
) -> RestoreReport:
    """Restore the dump that `lines` are into an empty installation; `turnlog init` is not needed
    before. `partitions`: as many as the installation has, if it has a number already, else as the
    dump, unless given. `processes` fold at the same time.

    Raises `NotEmpty`; `BadDump` for a line that is not as it was written, and for one that is
    missing: the installation is empty then, as before. The log keeps the identity of the
    installation: it is a copy, which goes its own way from here.
    """
    began = time.monotonic()
    reader = DumpReader(lines)
    with closing(connect_redis(redis_url)) as client:
        if partitions is None and read_meta(client) is None:
            partitions = reader.header.partitions
        report = initialise(redis_url, postgres_url, partitions=partitions)
        with connect_postgres(postgres_url, application_name="turnlog restore") as connection:
            if not scalar(connection, "SELECT pg_try_advisory_lock(%s)", _LOCK):
                raise NotEmpty("another restore is under way; wait for it, or stop it")
            went_on = bool(scalar(connection, "SELECT count(*) FROM turnlog.restore"))
            if not went_on:
                _check_empty(client, connection, report.partitions)
                with connection.transaction():
                    _Restore(connection, report.partitions, reader, tell).load()
                connection.execute("ANALYZE turnlog.archive, turnlog.heads")
            rebuilt = replay(
                postgres_url,
                tell=lambda at: tell(at.phase, at.done, at.total),
                processes=processes,
            )
            generation = rebuilt.generation
            sessions = _write_heads(client, connection, generation, report.partitions, tell)
            _drop_others(connection)
            events = scalar(connection, "DELETE FROM turnlog.restore RETURNING events")
    seconds = time.monotonic() - began
    return RestoreReport(events, sessions, report.partitions, generation, went_on, seconds)


def _check_empty(client: Redis, connection: Database, partitions: int) -> None:
    pipe = client.pipeline(transaction=False)
    for partition in range(partitions):
        pipe.hlen(heads_key(partition))
    sessions = sum(cast(list[int], pipe.execute()))
    if sessions or not scalar(connection, statement("restore_is_empty")):
        raise NotEmpty(
            f"a dump is restored into an empty installation only, and this one holds a log "
            f"({sessions} sessions in Redis): name another with --redis-url and --postgres-url, "
            "or with --data-dir"
        )


class _Restore:
    """Writes the objects of one dump into the durable tables."""

    def __init__(
        self, connection: Database, partitions: int, reader: DumpReader, tell: Tell
    ) -> None:
        self._connection = connection
        self._partitions = partitions
        self._reader = reader
        self._tell = tell
        self._places: Counter[int] = Counter()

    def load(self) -> None:
        """Read everything, within the caller's transaction."""
        connection, header = self._connection, self._reader.header
        connection.execute(statement("lock_offsets"))
        if not scalar(connection, statement("restore_is_empty")):
            raise NotEmpty("a projector has archived something meanwhile: the log is not empty")
        objects = self._reader.objects()
        first = self._put_what_comes_first(objects)
        try:
            with connection.cursor() as cursor, cursor.copy(statement("copy_archive")) as stream:
                stream.set_types(_TYPES)
                for row in self._rows(chain(first, objects)):
                    stream.write_row(row)
        except psycopg.errors.UniqueViolation as error:
            raise BadDump(f"an event is in the dump twice: {error.diag.message_detail}") from None
        self._tell("checking", header.events, header.events)
        gap = connection.execute(statement("restore_gap")).fetchone()
        if gap is not None:
            raise BadDump(f"the events of session {gap[0]}:{gap[1]} are not all there, in order")
        connection.execute(statement("restore_heads"))
        connection.execute(statement("restore_done"), columns(list(self._places.items()), 2))
        connection.execute(
            "INSERT INTO turnlog.restore (events, sessions) VALUES (%s, %s)",
            (header.events, header.sessions),
        )

    def _put_what_comes_first(self, objects: Iterator[Numbered]) -> list[Numbered]:
        """Put what was parked, skipped and erased; returns the first event, if there is any."""
        for number, value in objects:
            if "parked" not in value and "erasures" not in value:
                return [(number, value)]
            kind = "parked" if "parked" in value else "erasures"
            row = cast(dict[str, Any], value[kind])
            try:
                partition = partition_of(row["tenant"], row["session_id"], self._partitions)
            except (KeyError, TypeError):
                raise BadDump(f"line {number} names no session") from None
            where = {"partition": partition, "row": Jsonb(row)}
            self._connection.execute(statement(f"restore_{kind}"), where)
        return []

    def _rows(self, objects: Iterable[Numbered]) -> Iterator[Row]:
        """The rows of the archive."""
        total = self._reader.header.events
        for done, (number, value) in enumerate(objects):
            if done % _TOLD_EVERY == 0:
                self._tell("events", done, total)
            event = read_event(value, number)
            partition = partition_of(event.tenant, event.session_id, self._partitions)
            self._places[partition] += 1
            yield (partition, self._places[partition], *event)


def _drop_others(connection: Database) -> None:
    """Drop the read models of before: they hold nothing, or what a restore that was broken off has
    made."""
    rows = connection.execute("SELECT generation FROM turnlog.generations WHERE state = 'kept'")
    for (generation,) in rows.fetchall():
        drop_generation(connection, generation)


def _write_heads(
    client: Redis, connection: Database, generation: int, partitions: int, tell: Tell
) -> int:
    """Make the sessions known to Redis, all of them cold; returns how many there are. One that
    Redis knows by now has been appended to, or healed: the projector's audit merges the two."""
    total = scalar(connection, "SELECT count(*) FROM turnlog.heads WHERE seq > 0")
    done = 0
    with connection.transaction(), connection.cursor(name="sessions") as cursor:
        cursor.execute(statement("restore_sessions", generation=generation))
        while rows := cursor.fetchmany(_HEADS_AT_ONCE):
            pipe = client.pipeline(transaction=False)
            for row in rows:
                key = SessionKey(*row[:3])
                keys = Keys(key.tenant, key.session_id, partitions)
                pipe.hsetnx(keys.heads, keys.field, _head(connection, key, row[3:]).format())
            pipe.execute()
            done += len(rows)
            tell("sessions in Redis", done, total)
    return done


def _head(connection: Database, key: SessionKey, row: Sequence[Any]) -> Head:
    seq, event_id, recorded_at, owner, started, erased, parked = row
    owned = Ownership(owner, started, erased)
    if parked:  # the read model stops before its end
        archived = Archived(seq, event_id, recorded_at, None)
        owned = ownership(connection, key, archived, None)
    return Head(seq, seq, recorded_at, event_id, owned.flags.replace("-", "") + "c", owned.owner)
