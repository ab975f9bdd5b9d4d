"""What the stores must hold: the archive equals the streams, the read models equal the pure fold.

Nothing here shares code with the projector's own way from events to rows except the fold itself and
the order of the columns.
"""

from collections import defaultdict
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any, NamedTuple, cast

import redis
from psycopg import sql

from turnlog_producers.head import Head
from turnlog_producers.keys import Keys, heads_key
from turnlog_projector.database import Database
from turnlog_projector.tables import ROW_OF, session_row
from turnlog_schemas.codec import decode
from turnlog_schemas.errors import InvalidEvent
from turnlog_schemas.fold import fold
from turnlog_schemas.rows import MemoryRows, Session

Row = tuple[Any, ...]
Tables = dict[str, list[Row]]
Name = tuple[str, str]
"""(tenant, session_id)"""

# Times as text, so that they compare with the fold's.
_TIME = "to_char({} AT TIME ZONE 'UTC', 'FMYYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
COLUMNS = {
    "sessions": "tenant, session_id, user_id, project, title, visibility, archived, pinned,"
    f" deleted, {_TIME.format('created_at')}, {_TIME.format('updated_at')}, turn_count, seq,"
    " body, event_id, started, erased, floor, last_turn_id, last_turn_seq, title_turn_id,"
    " tip_turn_id, branches, ignored",
    "turns": f"tenant, session_id, turn_id, seq, branch_id, role, status, {_TIME.format('at')},"
    " body, model, input_tokens, output_tokens, counters, counts::text, response_us, ratings",
    "branches": "tenant, session_id, branch_id, first_seq, body",
    "titles": "tenant, session_id, seq, turn_id, body",
    "turn_revisions": "tenant, session_id, turn_id, seq, body",
    "annotations": "tenant, session_id, turn_id, seq, kind, body",
}


class Stored(NamedTuple):
    """An event as a store holds it."""

    seq: int
    event_id: str
    recorded_at: int
    raw: bytes


class Archived(NamedTuple):
    """A row of the archive."""

    partition: int
    pos: int
    tenant: str
    session_id: str
    seq: int
    event_id: str
    recorded_at: int
    repeat_of: int | None
    hash: bytes
    raw: bytes

    @property
    def name(self) -> Name:
        return self.tenant, self.session_id

    @property
    def stored(self) -> Stored:
        return Stored(self.seq, self.event_id, self.recorded_at, self.raw)


def read_heads(client: redis.Redis, partitions: int) -> dict[Name, Head]:
    """All heads in Redis."""
    found: dict[Name, Head] = {}
    for partition in range(partitions):
        heads = cast(dict[bytes, bytes], client.hgetall(heads_key(partition)))
        for field, value in heads.items():
            tenant, _, session_id = field.decode().partition(":")
            found[tenant, session_id] = Head.parse(value)
    return found


def read_streams(
    client: redis.Redis, names: Iterable[Name], partitions: int
) -> dict[Name, list[Stored]]:
    """The streams of sessions."""
    found: dict[Name, list[Stored]] = {}
    for tenant, session_id in names:
        stream = Keys(tenant, session_id, partitions).stream
        entries = cast(list[tuple[bytes, dict[bytes, bytes]]], redis.Redis.xrange(client, stream))
        found[tenant, session_id] = [
            Stored(int(id_.split(b"-")[0]), f[b"i"].decode(), int(f[b"t"]), f[b"e"])
            for id_, f in entries
        ]
    return found


def read_archive(connection: Database) -> list[Archived]:
    """The whole archive, by partition and place."""
    rows = connection.execute(
        "SELECT partition, pos, tenant, session_id, seq, event_id, recorded_at, repeat_of, hash,"
        " bytes FROM turnlog.archive ORDER BY partition, pos"
    )
    return [Archived(*row) for row in rows]


def read_tables(connection: Database, generation: int) -> Tables:
    """All rows of the read models of a generation, sorted."""
    tables: Tables = {}
    for table, columns in COLUMNS.items():
        query = sql.SQL("SELECT {} FROM {}").format(
            sql.SQL(columns),  # pyright: ignore[reportArgumentType]
            sql.Identifier(f"g{generation}", table),
        )
        tables[table] = sorted(connection.execute(query), key=repr)
    return tables


def fold_archive(
    archive: Iterable[Archived], skipped: Iterable[tuple[str, str, int]] = ()
) -> tuple[Tables, dict[Name, int]]:
    """The rows that the archive folds to, sorted, and the seq at which each parked session stops.

    `skipped` events (tenant, session_id, seq) fold to nothing but their place.
    """
    sessions: dict[Name, list[Archived]] = defaultdict(list)
    for row in archive:
        sessions[row.name].append(row)
    tables: Tables = {table: [] for table in COLUMNS}
    parked: dict[Name, int] = {}
    skips = set(skipped)
    for name, rows in sessions.items():
        session, kept, stopped = _fold_session(sorted(rows, key=lambda r: r.seq), skips)
        if stopped is not None:
            parked[name] = stopped
        if session is None:
            continue
        tables["sessions"].append(session_row(session))
        for table, values in (
            ("turns", kept.turns),
            ("branches", kept.branches),
            ("titles", kept.titles),
            ("turn_revisions", kept.revisions),
            ("annotations", kept.annotations),
        ):
            tables[table].extend(ROW_OF[table](*name, value) for value in values.values())
    return {table: sorted(rows, key=repr) for table, rows in tables.items()}, parked


def _fold_session(
    rows: list[Archived], skips: set[tuple[str, str, int]]
) -> tuple[Session | None, MemoryRows, int | None]:
    session: Session | None = None
    kept = MemoryRows()
    for row in rows:
        try:
            raw = row.raw
            if (*row.name, row.seq) in skips:
                raw = b'{"event_id":"%s","type":"a.skip","version":1,"at":"%s","data":{}}' % (
                    row.event_id.encode(),
                    b"9999-12-31T23:59:59.999999Z",
                )
            decoded = decode(
                raw,
                tenant=row.tenant,
                session_id=row.session_id,
                seq=row.seq,
                recorded_at=row.recorded_at,
                repeat_of=row.repeat_of,
            )
        except InvalidEvent:
            return session, kept, row.seq
        changes = fold(session, kept, decoded)
        kept.apply(changes)
        session = changes.session
    return session, kept, None


def check_archive(archive: list[Archived]) -> list[str]:
    """What is wrong with the archive itself, one line each."""
    faults: list[str] = []
    places: dict[int, list[int]] = defaultdict(list)
    seqs: dict[Name, list[int]] = defaultdict(list)
    first: dict[tuple[Name, str], int] = {}
    for row in archive:
        places[row.partition].append(row.pos)
        seqs[row.name].append(row.seq)
        if row.hash != blake2b(row.raw, digest_size=16).digest():
            faults.append(f"archive: {row.name} seq {row.seq} does not match its hash")
    for row in sorted(archive, key=lambda row: (row.name, row.seq)):
        known = first.setdefault((row.name, row.event_id), row.seq)
        if row.repeat_of != (None if known == row.seq else known):
            faults.append(
                f"archive: {row.name} seq {row.seq} repeats {known}, marked as {row.repeat_of}"
            )
    for partition, found in places.items():
        if found != list(range(1, len(found) + 1)):
            faults.append(f"archive: partition {partition} has the places {_span(found)}")
    for name, found in seqs.items():
        if sorted(found) != list(range(1, len(found) + 1)):
            faults.append(f"archive: {name} has the seqs {_span(sorted(found))}")
        elif found != sorted(found):
            faults.append(f"archive: {name} was archived out of order")
    return faults


def check_streams(
    archive: list[Archived], streams: dict[Name, list[Stored]], heads: dict[Name, Head]
) -> list[str]:
    """Where streams, heads and archive differ; a stream may begin later than the archive."""
    faults: list[str] = []
    rows: dict[Name, dict[int, Stored]] = defaultdict(dict)
    for row in archive:
        rows[row.name][row.seq] = row.stored
    for name in sorted(rows.keys() | streams.keys() | heads.keys()):
        stream, head, kept = streams.get(name, []), heads.get(name), rows[name]
        if head is None:
            faults.append(f"{name} has no head")
            continue
        if [e.seq for e in stream] != list(range(head.base + 1, head.seq + 1)):
            faults.append(f"{name}: the stream holds {_span([e.seq for e in stream])}, head {head}")
        elif stream and (
            stream[-1].event_id != head.event_id or stream[-1].recorded_at > head.recorded_at
        ):
            faults.append(f"{name}: the head does not name the stream's last event")
        if max(kept, default=0) != head.seq:
            faults.append(f"{name}: archived up to {max(kept, default=0)}, head at {head.seq}")
        faults.extend(
            f"{name}: seq {e.seq} differs between stream and archive"
            for e in stream
            if e.seq in kept and kept[e.seq] != e
        )
        times = [e.recorded_at for e in stream]
        if times != sorted(times):
            faults.append(f"{name}: recorded_at goes back within the stream")
    return faults


def check_tables(expected: Tables, found: Tables, label: str) -> list[str]:
    """Rows that are missing, superfluous or different."""
    faults: list[str] = []
    for table in COLUMNS:
        wanted, present = set(expected[table]), set(found[table])
        missing = [row for row in expected[table] if row not in present]
        more = [row for row in found[table] if row not in wanted]
        faults += [f"{label}.{table} lacks {row}" for row in missing[:3]]
        faults += [f"{label}.{table} should not hold {row}" for row in more[:3]]
        if not missing and not more and len(expected[table]) != len(found[table]):
            faults.append(f"{label}.{table} holds a row twice")
    return faults


def read_skipped(connection: Database) -> list[tuple[str, str, int]]:
    """What an operator has declared void."""
    rows = connection.execute(
        "SELECT tenant, session_id, seq FROM turnlog.parked WHERE state = 'skipped'"
    )
    return [(row[0], row[1], row[2]) for row in rows]


def check_everything(client: redis.Redis, connection: Database, *, partitions: int) -> list[str]:
    """All of the above over the stores as they stand."""
    archive = read_archive(connection)
    faults = check_archive(archive)
    heads = read_heads(client, partitions)
    names = heads.keys() | {row.name for row in archive}
    faults += check_streams(archive, read_streams(client, names, partitions), heads)
    expected, parked = fold_archive(archive, read_skipped(connection))
    row = connection.execute("SELECT generation FROM turnlog.active").fetchone()
    assert row is not None
    faults += check_tables(expected, read_tables(connection, row[0]), f"g{row[0]}")
    rows = connection.execute(
        "SELECT tenant, session_id, seq, parked_seq FROM turnlog.heads"
    ).fetchall()
    ends: dict[Name, int] = {}
    for each in archive:
        ends[each.name] = max(ends.get(each.name, 0), each.seq)
    if {(row[0], row[1]): row[2] for row in rows} != ends:
        faults.append("turnlog.heads does not say how far the sessions are archived")
    if {(row[0], row[1]): row[3] for row in rows if row[3] is not None} != parked:
        faults.append("turnlog.heads does not say which sessions are parked")
    listed = connection.execute(
        "SELECT tenant, session_id, seq FROM turnlog.parked WHERE state = 'parked'"
    ).fetchall()
    if {(row[0], row[1]): row[2] for row in listed} != parked:
        faults.append(f"turnlog.parked lists {listed}, the fold stops at {parked}")
    positions = connection.execute("SELECT partition, pos FROM turnlog.offsets").fetchall()
    counts: dict[int, int] = defaultdict(int)
    for each in archive:
        counts[each.partition] += 1
    faults += [
        f"the offset of partition {partition} counts {pos} events, the archive {counts[partition]}"
        for partition, pos in positions
        if pos != counts[partition]
    ]
    return faults


def _span(numbers: list[int]) -> str:
    return f"{numbers[:8]}… ({len(numbers)})" if len(numbers) > 8 else str(numbers)
