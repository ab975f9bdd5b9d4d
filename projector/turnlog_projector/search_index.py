"""Indexing what came: the table `search` of the live generation follows the archive by pos.

The archive only tells which turns have changed. What is indexed is the turn as the read models have
it, which hold at least the events up to that pos: so nothing is folded twice, and doing it again
changes nothing.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from pydantic_core import from_json

from turnlog_projector.database import Database
from turnlog_projector.log import SessionKey
from turnlog_projector.search import lock
from turnlog_projector.search_rows import Changes, Name, Searched, load_sessions
from turnlog_projector.sqlfiles import statement
from turnlog_projector.tables import columns

BATCH_EVENTS = 500
BATCH_BYTES = 4 * 1024 * 1024

_SCOPE = ("user_id", "project", "visibility")


class Indexed(NamedTuple):
    """What a batch has done."""

    events: int
    rows: int
    """Written or removed."""
    more: bool
    """There may be more to do at once."""


def index_some(
    connection: Database,
    generation: int,
    partitions: Iterable[int],
    *,
    events: int = BATCH_EVENTS,
) -> Indexed:
    """Index at most so many events, or a chunk of a session that is to be made again, in one
    transaction. Partitions that another worker has in hand are left to it. Does nothing when the
    generation is not the live one."""
    with connection.transaction():
        positions = lock(connection, generation, partitions, wait=False)
        reach = _reach(connection, generation, positions)
        made = _follow(connection, generation, positions, reach, events)
        if made is None and reach:
            made = _make_again(connection, generation, positions)
        return made or Indexed(0, 0, False)


class _Batch:
    """What some events have changed, before it is looked up."""

    def __init__(self) -> None:
        self.events = 0
        self.positions: dict[int, int] = {}
        self.begun: list[tuple[Name, dict[str, Any]]] = []
        self.named: set[tuple[str, str, str]] = set()
        """Tenant, session_id, turn_id."""
        self.titled: set[Name] = set()
        self.cleared: set[Name] = set()
        self.again: set[SessionKey] = set()

    def event(self, partition: int, row: tuple[Any, ...]) -> None:
        pos, tenant, session_id, seq, body, raw = row
        self.events += 1
        self.positions[partition] = pos
        if body is not None:
            self.begun.append(((tenant, session_id), from_json(body)))
            return
        type_, data = _told(raw)
        name = (tenant, session_id)
        turn_id = data.get("turn_id")
        if type_.startswith("turn.") and isinstance(turn_id, str):
            self.named.add((*name, turn_id))
        elif type_ == "session.cleared":
            self.cleared.add(name)
        elif type_ in ("session.started", "session.updated"):
            if data.get("title") is not None:
                self.titled.add(name)
            if seq > 1 and any(data.get(key) is not None for key in _SCOPE):
                self.again.add(SessionKey(partition, tenant, session_id))

    def names(self) -> set[Name]:
        """The sessions that have to be known."""
        begun = {name for name, _ in self.begun}
        return begun | self.titled | self.cleared | {(key[0], key[1]) for key in self.named}


def _follow(
    connection: Database,
    generation: int,
    positions: dict[int, int],
    reach: dict[int, int],
    events: int,
) -> Indexed | None:
    batch, size = _Batch(), BATCH_BYTES
    query = statement("search_changes", generation=generation)
    for partition, pos in positions.items():
        upto = reach.get(partition, pos)
        if upto <= pos or batch.events >= events:
            continue
        count = events - batch.events
        where = {"partition": partition, "pos": pos, "upto": upto, "count": count, "size": size}
        for row in connection.execute(query, where):
            batch.event(partition, row)
    if not batch.events:
        return None
    rows = _write(connection, generation, batch)
    connection.execute(
        statement("move_search_offsets"),
        {
            "generation": generation,
            "partitions": list(batch.positions),
            "positions": list(batch.positions.values()),
        },
    )
    more = any(batch.positions.get(p, positions[p]) < upto for p, upto in reach.items())
    return Indexed(batch.events, rows, more or bool(batch.again))


def _write(connection: Database, generation: int, batch: _Batch) -> int:
    sessions = load_sessions(connection, generation, batch.names())
    changes = Changes()
    for name, turn in batch.begun:
        if name in sessions:
            changes.turn(sessions[name], turn, is_new=True)
    _take_named(connection, generation, batch, sessions, changes)
    for name in batch.titled & sessions.keys():
        changes.title(sessions[name])
    changes.write(connection, generation)
    for tenant, session_id in batch.cleared & sessions.keys():
        connection.execute(
            statement("remove_search_below", generation=generation),
            {
                "tenant": tenant,
                "session_id": session_id,
                "floor": sessions[tenant, session_id].floor,
            },
        )
    for key in batch.again:
        again = {"generation": generation, **key._asdict()}
        connection.execute(statement("put_search_stale"), again)
    return len(changes.put) + len(changes.gone)


def _take_named(
    connection: Database,
    generation: int,
    batch: _Batch,
    sessions: dict[Name, Searched],
    changes: Changes,
) -> None:
    """Turns that were changed by later events."""
    named = sorted(key for key in batch.named if (key[0], key[1]) in sessions)
    if not named:
        return
    query = statement("load_turns", generation=generation)
    for tenant, session_id, turn_id, body in connection.execute(
        query, [BATCH_BYTES, *columns(named, 3)]
    ).fetchall():
        if body is None:  # too much to have been loaded with the others
            one = statement("load_turn", generation=generation)
            found = connection.execute(one, (tenant, session_id, turn_id)).fetchone()
            assert found is not None, "the transaction has just seen it"
            body = found[0]
        changes.turn(sessions[tenant, session_id], from_json(body))


def _make_again(connection: Database, generation: int, positions: dict[int, int]) -> Indexed | None:
    """The next chunk of the session that waits longest to be made again."""
    found = connection.execute(
        statement("search_stale"),
        {"generation": generation, "partitions": list(positions), "count": 1},
    ).fetchone()
    if found is None:
        return None
    key, done = SessionKey(*found[:3]), found[3]
    name = (key.tenant, key.session_id)
    where = {"generation": generation, **key._asdict()}
    sessions = load_sessions(connection, generation, [name])
    turns: list[dict[str, Any]] = []
    if name in sessions:
        rows = connection.execute(
            statement("search_stale_turns", generation=generation),
            {**where, "done": done, "count": BATCH_EVENTS, "size": BATCH_BYTES},
        )
        turns = [from_json(row[0]) for row in rows]
    changes = Changes()
    for turn in turns:
        changes.turn(sessions[name], turn)
    if not turns and name in sessions:
        changes.title(sessions[name])
    changes.write(connection, generation)
    if turns:
        connection.execute(statement("search_stale_done"), {**where, "done": turns[-1]["seq"]})
    else:
        gone = {**where, "without_text": False}
        connection.execute(statement("remove_search_unfounded", generation=generation), gone)
        connection.execute(statement("remove_search_stale"), where)
    return Indexed(0, len(changes.put) + len(changes.gone), True)


def _reach(connection: Database, generation: int, partitions: Iterable[int]) -> dict[int, int]:
    rows = connection.execute(
        statement("search_reach"), {"generation": generation, "partitions": list(partitions)}
    )
    return {row[0]: row[1] for row in rows}


def _told(raw: bytes) -> tuple[str, dict[str, Any]]:
    """Type and data of an event that has begun no turn; whatever cannot be read says nothing."""
    try:
        envelope: Any = from_json(raw)
    except ValueError:
        return "", {}
    if not isinstance(envelope, dict):
        return "", {}
    type_, data = envelope.get("type"), envelope.get("data")  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    if not isinstance(type_, str) or not isinstance(data, dict):
        return "", {}
    return type_, data  # pyright: ignore[reportUnknownVariableType]
