"""Strong reads: what the log holds and the projector has not folded yet, folded into the answer.

Rows come from one REPEATABLE READ snapshot, the tail from the archive (when the session is parked)
and from the stream, checked as the projector checks it: seqs without a gap, the right event before.
An answer holds every event that was in the log when the request came.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from pydantic_core import to_json

from turnlog_api import queries
from turnlog_api.asking import Pooled
from turnlog_api.logreads import LogReads
from turnlog_api.problems import Problem
from turnlog_api.queries import OnSession, SessionAnswer, TurnsPage, Window
from turnlog_api.reading import Reader, both
from turnlog_api.scope import Scope
from turnlog_api.statements import sql
from turnlog_api.strongpage import Folded, Snapshot, turns_page
from turnlog_api.tail import Moved, Tail, parked
from turnlog_producers.head import Head
from turnlog_projector.batch import Archived
from turnlog_projector.errors import NotReady
from turnlog_projector.log import SessionKey
from turnlog_projector.tables import branch_from, columns, session_from, turn_from
from turnlog_projector.work import SessionWork
from turnlog_schemas.codec import RecordedEvent
from turnlog_schemas.fold import needs
from turnlog_schemas.rows import SESSION_FOLD_ONLY, Branch, Session, Turn, session_item

A = TypeVar("A", bound=OnSession)

MAX_TAIL_EVENTS = 20_000
"""A session further behind than this is not folded within a request."""

_ATTEMPTS = 5


class _Missing(Exception):
    """The fold asks for a row that is not at hand: fetch it and fold the event again. The fold is
    pure, so folding again changes nothing."""

    def __init__(self, name: str, params: tuple[Any, ...]) -> None:
        super().__init__(name)
        self.name = name
        self.params = params


class Erases(Exception):
    """The tail erases a turn. Then the read models will show the fold of a log in which stubs stand
    for the events of that turn, and the title, for one, may be another."""


class _AtHand:
    """The rows of a snapshot that were fetched for the fold so far."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._bodies: dict[tuple[str, Any], str | None] = {}

    def turn(self, key: SessionKey, turn_id: str) -> Turn | None:
        body = self._get("load_turn", (key.tenant, key.session_id, turn_id))
        return None if body is None else turn_from(body)

    def branch(self, key: SessionKey, branch_id: str) -> Branch | None:
        body = self._get("load_branch", (key.tenant, key.session_id, branch_id))
        return None if body is None else branch_from(body)

    def visible_before(
        self, key: SessionKey, seq: int, floor: int, known: list[str]
    ) -> Turn | None:
        params = (key.tenant, key.session_id, seq, floor, tuple(known))
        body = self._get("load_visible_before", params)
        return None if body is None else turn_from(body)

    def _get(self, name: str, params: tuple[Any, ...]) -> str | None:
        if (name, params) not in self._bodies:
            raise _Missing(name, params)
        return self._bodies[name, params]

    async def fetch(self, missing: _Missing) -> None:
        """Get what was asked for in vain."""
        params: Any = missing.params
        if missing.name == "load_visible_before":
            names = ("tenant", "session_id", "seq", "floor", "known")
            params = dict(zip(names, (*params[:4], list(params[4])), strict=True))
        row = await self._snapshot.one(self._snapshot.statement(missing.name), params)
        self._bodies[missing.name, missing.params] = None if row is None else row[0]


class StrongReads:
    """Answers that hold everything the log holds. Raise a 503 `Problem` while the log is being
    healed, 409 `parked` for a session with an event that cannot be folded."""

    def __init__(self, reader: Reader, log: LogReads) -> None:
        self._reader = reader
        self._log = log

    async def session(
        self, scope: Scope, session_id: str, *, exact: bool = False
    ) -> SessionAnswer | None:
        """The session; None when there is none that the caller may read. With `exact` `Erases` is
        raised where the tail alone does not tell what the read models will show."""

        async def answer(folded: Folded) -> SessionAnswer:
            if exact and folded.work.erased_turns:
                raise Erases
            session = folded.session
            return SessionAnswer(
                session["seq"], session["event_id"], to_json(session_item(session))
            )

        plain = self._reader.fetch(queries.session(scope, session_id))
        return await self.answer(scope, session_id, plain, answer)

    async def turns(
        self, scope: Scope, session_id: str, window: Window, *, exact: bool = False
    ) -> TurnsPage | None:
        """A page of turns; None when there is no session that the caller may read. `exact` as
        above."""

        async def answer(folded: Folded) -> TurnsPage:
            if exact and folded.work.erased_turns:
                raise Erases
            return await turns_page(folded, window)

        plain = self._reader.turns(scope, session_id, window)
        return await self.answer(scope, session_id, plain, answer)

    async def answer(
        self,
        scope: Scope,
        session_id: str,
        plain: Coroutine[Any, Any, A | None],
        make: Callable[[Folded], Awaitable[A]],
    ) -> A | None:
        """What `plain` finds, when that goes as far as the log; else what `make` makes of the
        session with its tail folded. None when there is none that the caller may read."""
        # The head is read while the plain query runs: an answer that goes as far needs no fold.
        found, head = await both(plain, self._log.head(scope.tenant, session_id))
        if head is None or (found is not None and _holds(found, head)):
            return found
        for _ in range(_ATTEMPTS):
            try:
                # What is stored may be of another visibility than what the fold makes of it.
                everything = Scope(scope.tenant, only_session=session_id)
                async with self._reader.snapshot(everything) as connection:
                    folded = await self._fold(connection, scope, session_id, head)
                    return None if folded is None else await make(folded)
            except Moved:
                await asyncio.sleep(0.02)
        raise Problem(
            "log-damaged",
            f"the stream of session {session_id} is being repaired: ask again shortly",
        )

    async def _fold(
        self, connection: Pooled, scope: Scope, session_id: str, head: Head
    ) -> Folded | None:
        row = await Snapshot(connection, 0).one(sql("active", 0))
        if row is None:
            raise NotReady("the database has no Turnlog schema: run `turnlog init`")
        snapshot = Snapshot(connection, row[0])
        keys = await self._log.keys(scope.tenant, session_id)
        key = SessionKey(keys.partition, scope.tenant, session_id)
        archived, stored = await _stored_session(snapshot, key)
        stored_seq = stored["seq"] if stored else 0
        if head.seq - stored_seq > MAX_TAIL_EVENTS:
            raise Problem(
                "not-projected",
                f"the read models are {head.seq - stored_seq} events behind, too many to fold "
                "within a request: ask again later, or without consistency=strong",
            )
        at_hand = _AtHand(snapshot)
        work = SessionWork(key, stored, at_hand if archived.seq else None)
        tail = Tail(self._log, snapshot, key, archived)
        first = stored_seq + 1
        while events := await tail.events(first):
            await _fold_events(at_hand, snapshot, work, events)
            first += len(events)
        if first - 1 < head.seq:
            raise Moved
        session = work.session
        if session is None or session["erased"]:
            return None
        if not scope.sees(user_id=session["user_id"], visibility=session["visibility"]):
            return None
        return Folded(snapshot, session, work, stored_seq)


def _holds(answer: OnSession, head: Head) -> bool:
    """Whether the answer goes at least as far as the head did."""
    return answer.seq > head.seq or (answer.seq == head.seq and answer.event_id == head.event_id)


async def _stored_session(snapshot: Snapshot, key: SessionKey) -> tuple[Archived, Session | None]:
    wanted = [*columns([tuple(key)], 3), None]
    row = await snapshot.one(snapshot.statement("load_heads"), wanted)
    if row is None:
        return Archived(0, "", 0, None), None
    body, fold_only = row[7], row[8 : 8 + len(SESSION_FOLD_ONLY)]
    return Archived(*row[3:7]), None if body is None else session_from(key.tenant, body, fold_only)


async def _fold_events(
    at_hand: _AtHand, snapshot: Snapshot, work: SessionWork, events: list[RecordedEvent]
) -> None:
    key = work.key
    named = dict.fromkeys(id_ for event in events for id_ in needs(event))
    if unknown := work.unknown(tuple(named)):
        wanted = columns([(key.tenant, key.session_id, id_) for id_ in unknown], 3)
        rows = await snapshot.rows(snapshot.statement("load_turns"), [None, *wanted])
        bodies: dict[str, str] = {row[2]: row[3] for row in rows}
        for id_ in unknown:
            work.prefetched(id_, turn_from(bodies[id_]) if id_ in bodies else None)
    for event in events:
        while True:
            try:
                work.fold(event)
                break
            except _Missing as missing:
                await at_hand.fetch(missing)
            except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
                raise parked(event.seq) from None  # the projector parks it for the same reason
