"""Asking the log for erasures: the events that a projector then acts on, many at a time."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from redis import Redis, RedisError
from redis.exceptions import ResponseError

from turnlog_producers.core import APPEND, Call, build
from turnlog_producers.errors import Conflict, SessionErased
from turnlog_producers.faults import code_of, explain
from turnlog_producers.head import Head
from turnlog_producers.keys import Keys
from turnlog_projector.database import Database
from turnlog_projector.log import LogReader, SessionKey
from turnlog_projector.sqlfiles import statement
from turnlog_schemas.erasure import WHOLE_SESSION
from turnlog_schemas.errors import TurnlogError
from turnlog_schemas.ids import partition_of

_SENT_AT_ONCE = 100
_SCANNED_AT_ONCE = 1000
_REFUSALS = ("ERASED", "CONFLICT", "LOST")

Tell = Callable[[int, int], None]
"""Called with how far it is, and how far it has to go."""


class Request(NamedTuple):
    """Something to erase."""

    key: SessionKey
    turn_id: str = WHOLE_SESSION
    expected_seq: int | None = None
    """Only if the session is still at this seq."""


class Asked(NamedTuple):
    """What the log has answered."""

    erased: list[Request]
    """Their events are in the log now."""
    before: list[Request]
    """Of sessions that are erased already."""
    changed: list[Request]
    """Of sessions that are not at the seq expected any more."""
    failed: list[tuple[Request, TurnlogError]]
    """Those that the log did not take, and why."""


def ask_to_erase(
    log: LogReader, requests: Sequence[Request], *, by: str, tell: Tell | None = None
) -> Asked:
    """Append the erasing event of every request; `by` names what asks. Raises redis-py's errors
    when Redis does not answer; then asking again is safe."""
    asked = Asked([], [], [], [])
    for start in range(0, len(requests), _SENT_AT_ONCE):
        some = requests[start : start + _SENT_AT_ONCE]
        calls = [_call(request, log.partitions, by) for request in some]
        for request, call, reply in zip(some, calls, _send(log.client, calls), strict=True):
            if not isinstance(reply, Exception):
                asked.erased.append(request)
                continue
            if code_of(reply) not in _REFUSALS:
                raise reply
            error = explain(reply, "the server", call)
            if isinstance(error, SessionErased):
                asked.before.append(request)
            elif isinstance(error, Conflict):
                asked.changed.append(request)
            else:
                asked.failed.append((request, error))
        if tell is not None:
            tell(min(start + _SENT_AT_ONCE, len(requests)), len(requests))
    return asked


def _call(request: Request, partitions: int, by: str) -> Call:
    actor = {"kind": "service", "id": by}
    key = request.key
    if request.turn_id == WHOLE_SESSION:
        event = build("session.erased", {}, actor=actor)
    else:
        event = build("turn.erased", {"turn_id": request.turn_id}, actor=actor)
    keys = Keys(key.tenant, key.session_id, partitions)
    return Call(key.session_id, keys, (event,), expected_seq=request.expected_seq)


def _send(client: Redis, calls: Sequence[Call]) -> list[Any]:
    pipe = client.pipeline(transaction=False)
    pipe.script_load(APPEND.source)
    for call in calls:
        pipe.execute_command("EVALSHA", APPEND.sha, *call.arguments())
    replies: list[Any] = pipe.execute(raise_on_error=False)
    for reply in replies:
        if isinstance(reply, RedisError) and not isinstance(reply, ResponseError):
            raise reply
    return replies[1:]


def sessions_of_user(
    log: LogReader,
    connection: Database,
    generation: int,
    tenant: str,
    user_id: str,
    *,
    tell: Tell | None = None,
) -> set[SessionKey]:
    """Every session of a user that is not erased: those that Redis knows the owner of, projected or
    not, and those of the read models, deleted ones too."""
    found: set[SessionKey] = set()
    for partition in range(log.partitions):
        for head_key, head in _heads(log, partition):
            if head_key.tenant == tenant and head.owner == user_id and not head.erased:
                found.add(head_key)
        if tell is not None:
            tell(partition + 1, log.partitions)
    after = ""
    while True:
        rows = connection.execute(
            statement("sessions_of_user", generation=generation),
            {"tenant": tenant, "user": user_id, "after": after, "count": _SCANNED_AT_ONCE},
        ).fetchall()
        for (session_id,) in rows:
            partition = partition_of(tenant, session_id, log.partitions)
            found.add(SessionKey(partition, tenant, session_id))
        if len(rows) < _SCANNED_AT_ONCE:
            return found
        after = rows[-1][0]


def _heads(log: LogReader, partition: int) -> Iterable[tuple[SessionKey, Head]]:
    cursor = 0
    while True:
        cursor, heads = log.heads(partition, cursor, _SCANNED_AT_ONCE)
        yield from heads.items()
        if cursor == 0:
            return


class State(NamedTuple):
    """How far an erasure has come."""

    request: Request
    events: int
    """Events of which only stubs are left in archive and read models."""
    in_postgres: bool
    in_redis: bool
    """Redis is clean."""
    files: str | None
    """What was done about Redis' files on disk; None: nothing yet."""
    in_generations: bool
    """No replay under way still holds it."""

    @property
    def done(self) -> bool:
        """Whether it has gone all its way."""
        return self.in_redis and self.files is not None and self.in_generations


def states_of(connection: Database, requests: Sequence[Request]) -> list[State]:
    """How far some erasures have come."""
    found: dict[tuple[Any, ...], Any] = {}
    for start in range(0, len(requests), _SCANNED_AT_ONCE):
        some = requests[start : start + _SCANNED_AT_ONCE]
        rows = connection.execute(
            statement("erasure_states"),
            [
                [request.key.partition for request in some],
                [request.key.tenant for request in some],
                [request.key.session_id for request in some],
                [request.turn_id for request in some],
            ],
        )
        found |= {tuple(row[:4]): row[4:] for row in rows}
    states: list[State] = []
    for request in requests:
        row = found.get((*request.key, request.turn_id))
        if row is None:
            states.append(State(request, 0, False, False, None, False))
        else:
            states.append(State(request, row[0], True, *row[1:]))
    return states
