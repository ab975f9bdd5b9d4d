"""The log of one session, for whoever may see the session: its archive, then its stream.

Here it is decided, for everything that is read from the log and not from the read models, who may
read it: whoever may read the session as it is now.
"""

import asyncio
from binascii import unhexlify
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from turnlog_api.auth import Caller
from turnlog_api.logreads import LogReads
from turnlog_api.logsteps import (
    CHUNK_EVENTS,
    Decoder,
    Gap,
    LogEvent,
    Span,
    Wanted,
    in_tail,
    question,
)
from turnlog_api.params import ReadParams
from turnlog_api.problems import Problem, no_session
from turnlog_api.queries import Query
from turnlog_api.reading import Reader
from turnlog_api.rows import Rows
from turnlog_api.scope import Scope
from turnlog_api.statements import sql
from turnlog_api.strong import MAX_TAIL_EVENTS, StrongReads
from turnlog_api.strongpage import Snapshot
from turnlog_api.tail import Moved, Tail
from turnlog_producers.errors import LogDamaged, Misconfigured, Unavailable
from turnlog_producers.head import Head
from turnlog_projector.batch import Archived
from turnlog_projector.errors import NotReady
from turnlog_projector.log import SessionKey, StoredEvent
from turnlog_schemas.erasure import WHOLE_SESSION, Stored, erasing_event
from turnlog_schemas.ids import partition_of

R = TypeVar("R")

MAX_TAIL_BYTES = 64 * 1024 * 1024
"""With more than this not yet archived the log is not read within a request."""

_ATTEMPTS = 5


class SessionLog(NamedTuple):
    """The log of a session as a request found it."""

    key: SessionKey
    projected_seq: int
    """How far the read models show it; 0: not at all."""
    archived: Archived
    """The last event of the archive, seq 0 when it holds none."""
    head: Head | None
    """None when Redis does not answer, or does not know the session."""
    tail: list[LogEvent]
    """The events behind the archive, without what they erase."""
    whole: bool
    """Whether the tail is known: False while Redis does not answer or is being repaired."""
    version: str
    """Changes whenever archived events are read otherwise than before."""
    decoder: Decoder
    known: tuple[int, str | None]
    """The archived event that was asked about: seq and id."""

    @property
    def end(self) -> int:
        """The last event that is known of."""
        return self.tail[-1].seq if self.tail else self.archived.seq


class SessionLogs:
    """Opens logs, and reads events of them."""

    def __init__(self, reader: Reader, log: LogReads, strong: StrongReads) -> None:
        self._reader = reader
        self._log = log
        self._strong = strong
        self._partitions: int | None = None

    async def read(
        self,
        caller: Caller,
        session_id: str,
        params: ReadParams,
        answer: Callable[[SessionLog], Awaitable[R]],
        *,
        known_seq: int = 0,
    ) -> tuple[R, SessionLog]:
        """An answer from the log of a session that the caller may read; asked for anew when the log
        is trimmed or healed meanwhile.

        Raises a 404 `Problem` when there is no such session, 409 `behind-head` for a `min_seq` that
        the log does not hold (there is nothing to wait for: the log is read itself), 503 for a log
        that is being repaired.
        """
        for _ in range(_ATTEMPTS):
            strong = params.consistency == "strong"
            log = await self.open(caller, session_id, strong=strong, known_seq=known_seq)
            wanted = params.min_seq
            if wanted is not None and wanted > log.end and log.whole:
                raise behind_end(log, f"min_seq {wanted}")
            try:
                return await answer(log), log
            except Gap:
                await asyncio.sleep(0.02)
        raise Problem(
            "log-damaged",
            f"the log of session {session_id} is being repaired: ask again shortly",
        )

    async def open(
        self, caller: Caller, session_id: str, *, strong: bool = False, known_seq: int = 0
    ) -> SessionLog:
        """The log of a session that the caller may read; `strong` counts events that are not yet
        projected in what it may. Raises a 404 `Problem` when there is none."""
        for attempt in range(_ATTEMPTS):
            last = attempt == _ATTEMPTS - 1
            try:
                return await self._open(caller, session_id, strong, known_seq, whole=not last)
            except Moved:
                await asyncio.sleep(0.02)
        raise AssertionError("the last attempt does without the tail")

    async def events(self, log: SessionLog, wanted: Wanted) -> list[LogEvent]:
        """Events of the log, as the pieces of work in logsteps.py want them."""
        found = in_tail(log.tail, wanted)
        if found is not None:
            return found
        name, parts, params = question(log.key, wanted, log.tail)
        rows = await self._reader.rows(sql(name, 0, parts), params, scope=_whole(log.key))
        return [_event(rows, row) for row in range(rows.count)]

    async def newest_first(self, log: SessionLog, wanted: Span) -> list[LogEvent]:
        """The events from `last` back to `first`, as many as a chunk takes."""
        begin = log.tail[0].seq if log.tail else log.archived.seq + 1
        if wanted.last >= begin:
            span = Span(max(wanted.first, begin, wanted.last - CHUNK_EVENTS + 1), wanted.last)
            return (in_tail(log.tail, span) or [])[::-1]
        name, _, params = question(log.key, wanted)
        text = sql(name, 0, frozenset({"desc"}))
        rows = await self._reader.rows(text, params, scope=_whole(log.key))
        return [_event(rows, row) for row in range(rows.count)]

    async def seq_at(self, log: SessionLog, moment: int) -> int:
        """The last event recorded up to a moment (ms since 1970); 0: none."""
        behind = [event.seq for event in log.tail if event.stored.recorded_at <= moment]
        if behind:
            return behind[-1]
        if not log.archived.seq:
            return 0
        params = {**log.key._asdict(), "moment": moment, "last": log.archived.seq}
        rows = await self._reader.rows(sql("seq_at", 0), params, scope=_whole(log.key))
        return rows.number(0, 0) or 0

    async def _open(
        self, caller: Caller, session_id: str, strong: bool, known_seq: int, *, whole: bool
    ) -> SessionLog:
        partitions, head = await self._head(caller.tenant, session_id)
        key = SessionKey(
            partition_of(caller.tenant, session_id, partitions), caller.tenant, session_id
        )
        stands = await self._reader.fetch(standing(caller.scope, key, known_seq))
        await self._check(caller, session_id, stands.projected_seq, head, strong=strong)
        tail: list[LogEvent] = []
        if head is None:
            whole = False
        elif whole and head.seq > stands.archived.seq:
            try:
                tail = await self._tail(key, stands.archived, head)
            except (Unavailable, LogDamaged):
                whole = False
        erased = _erased_by(tail)
        all_erased = Decoder(key, erased={**erased, **stands.erased})
        return SessionLog(
            key,
            stands.projected_seq,
            stands.archived,
            head,
            [all_erased.without_erased(event) for event in tail],
            whole,
            f"{stands.version};{sorted(erased.items())}",
            Decoder(key, stands.skipped, erased),
            (known_seq, stands.known_event_id),
        )

    async def _head(self, tenant: str, session_id: str) -> tuple[int, Head | None]:
        """The number of partitions, and the head of the session as far as Redis tells."""
        try:
            head = await self._log.head(tenant, session_id)
            return (await self._log.meta()).partitions, head
        except (Unavailable, Misconfigured, LogDamaged):
            if self._partitions is None:
                rows = await self._reader.rows(sql("partitions", 0))
                self._partitions = rows.number(0, 0) if rows.count else None
            if self._partitions is None:
                raise NotReady("the database belongs to no log yet: run `turnlog init`") from None
            return self._partitions, None

    async def _check(
        self,
        caller: Caller,
        session_id: str,
        projected_seq: int,
        head: Head | None,
        *,
        strong: bool,
    ) -> None:
        """Refuse, with a 404, whoever may not read the session as it is now."""
        if head is not None and head.erased:
            raise no_session()
        if projected_seq and not strong:
            return
        if head is None:
            if not projected_seq:
                raise no_session()
            return
        try:
            if await self._strong.session(caller.scope, session_id) is None:
                raise no_session()
        except Problem as problem:
            if problem.code != "parked":
                raise
            # What is folded of it decides, or, when that is nothing, whose the log says it is.
            if not projected_seq and not caller.may_own(head):
                raise no_session() from None

    async def _tail(self, key: SessionKey, archived: Archived, head: Head) -> list[LogEvent]:
        """The events behind the archive. Raises `Moved`."""
        if head.seq - archived.seq > MAX_TAIL_EVENTS:
            raise _too_far_behind(head.seq - archived.seq)
        scope = _whole(key)
        found: list[LogEvent] = []
        size = 0
        async with self._reader.snapshot(scope) as connection:
            tail = Tail(self._log, Snapshot(connection, 0), key, archived)
            while events := await tail.from_stream(archived.seq + 1 + len(found)):
                found += [LogEvent(*event) for event in events]
                size += sum(len(event.raw) for event, _ in events)
                if size > MAX_TAIL_BYTES:
                    raise _too_far_behind(head.seq - archived.seq)
        if archived.seq + len(found) < head.seq:
            raise Moved
        return found


class _Stands(NamedTuple):
    """An answer to session_log.sql."""

    projected_seq: int
    archived: Archived
    skipped: frozenset[int]
    erased: Mapping[str, int]
    """Turns whose archived events are stubs, and the seqs of the erasing events."""
    version: str
    known_event_id: str | None


def standing(scope: Scope, key: SessionKey, known_seq: int) -> Query[_Stands]:
    def read(rows: Rows) -> _Stands:
        skipped, erased = rows.text(0, 5) or "", rows.text(0, 6) or ""
        return _Stands(
            rows.number(0, 1) or 0,
            Archived(rows.number(0, 2) or 0, rows.text(0, 3) or "", rows.number(0, 4) or 0, None),
            frozenset(int(seq) for seq in skipped.split(",") if seq),
            {each.split(":")[0]: int(each.split(":")[1]) for each in erased.split(",") if each},
            f"{skipped};{erased}",
            rows.text(0, 7),
        )

    params: dict[str, Any] = {**key._asdict(), "known_seq": known_seq}
    parts: frozenset[str] = frozenset()
    if scope.user_id is not None:
        params["user"] = scope.user_id
        parts = frozenset({"user"})
    return Query("session_log", parts, params, read, _whole(key))


def _whole(key: SessionKey) -> Scope:
    """Everything of the session: the statement, or one before, says who may see it."""
    return Scope(key.tenant, only_session=key.session_id)


def _event(rows: Rows, row: int) -> LogEvent:
    """A row of log_span.sql or log_places.sql."""
    raw = unhexlify((rows.raw(row, 3) or b"").removeprefix(b"\\x"))
    stored = StoredEvent(
        rows.number(row, 0) or 0, rows.text(row, 1) or "", rows.number(row, 2) or 0, raw
    )
    return LogEvent(stored, rows.number(row, 4))


def _erased_by(tail: list[LogEvent]) -> Mapping[str, int]:
    """The turns that a tail erases: until that is archived, their text stands there still."""
    erased: dict[str, int] = {}
    for event in tail:
        turn_id = erasing_event(Stored(*event.stored), event.repeat_of)
        if turn_id == WHOLE_SESSION:
            raise no_session()
        if turn_id is not None:
            erased.setdefault(turn_id, event.seq)
    return erased


def behind_end(log: SessionLog, asked: str) -> Problem:
    """For a seq that the log does not hold yet."""
    return Problem(
        "behind-head", f"{asked}: the log of the session ends at seq {log.end}", head=log.end
    )


def _too_far_behind(events: int) -> Problem:
    return Problem(
        "not-projected",
        f"{events} events are not archived yet, too many to read within a request: ask again later",
    )
