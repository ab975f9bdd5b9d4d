"""Time travel: a session and its turns as they were after any of its events."""

from collections.abc import Awaitable, Callable
from typing import Generic, NamedTuple, TypeVar

from turnlog_api import moments, queries
from turnlog_api.asof import AsOf
from turnlog_api.auth import Caller
from turnlog_api.logsteps import Unfoldable
from turnlog_api.params import ReadParams
from turnlog_api.pasts import Past, Pasts
from turnlog_api.problems import Problem
from turnlog_api.queries import OnSession, SessionAnswer, TurnsPage, Window
from turnlog_api.reading import Reader
from turnlog_api.sessionlog import SessionLog, SessionLogs, behind_end
from turnlog_api.strong import Erases, StrongReads
from turnlog_producers.errors import Unavailable
from turnlog_schemas.rows import LAST_SEQ

A = TypeVar("A", bound=OnSession)

_STRONG = ReadParams(consistency="strong")
_END = AsOf(None, LAST_SEQ)
"""A time that never comes."""

_UNKNOWN = "what the log has recorded since it was last archived is not known"


class Seen(NamedTuple, Generic[A]):
    """What a reader sees of a moment: after the event `at` of the log."""

    answer: A
    at: int
    log: SessionLog


class TimeTravel:
    """Answers as of a moment, to whoever may read the session as it is now."""

    def __init__(self, url: str, reader: Reader, logs: SessionLogs, strong: StrongReads) -> None:
        self._reader = reader
        self._logs = logs
        self._strong = strong
        self._pasts = Pasts(url, logs)

    def close(self) -> None:
        self._pasts.close()

    async def session(
        self, caller: Caller, session_id: str, params: ReadParams, as_of: AsOf
    ) -> Seen[SessionAnswer]:
        """The session as it was. Raises a 404 `Problem` before its first event, 409 `behind-head`
        behind its last one, 409 `parked` from an event on that cannot be folded."""

        async def now() -> SessionAnswer | None:
            return await self._reader.fetch(queries.session(caller.scope, session_id))

        async def then(past: Past) -> SessionAnswer:
            return moments.session_answer(past.session)

        return await self._see(caller, session_id, params, as_of, now, then)

    async def turns(
        self, caller: Caller, session_id: str, params: ReadParams, as_of: AsOf, window: Window
    ) -> Seen[TurnsPage]:
        """A page of the turns as they were. Raises the same."""

        async def now() -> TurnsPage | None:
            return await self._reader.turns(caller.scope, session_id, window)

        async def then(past: Past) -> TurnsPage:
            return await self._pasts.page(past, window)

        return await self._see(caller, session_id, params, as_of, now, then)

    async def strong_session(self, caller: Caller, session_id: str) -> SessionAnswer | None:
        """The session as of the end of the log: a strong read, also of a tail that erases."""
        try:
            return await self._strong.session(caller.scope, session_id, exact=True)
        except Erases:
            return (await self.session(caller, session_id, _STRONG, _END)).answer

    async def strong_turns(
        self, caller: Caller, session_id: str, window: Window
    ) -> TurnsPage | None:
        """A page of turns as of the end of the log."""
        try:
            return await self._strong.turns(caller.scope, session_id, window, exact=True)
        except Erases:
            return (await self.turns(caller, session_id, _STRONG, _END, window)).answer

    async def _see(
        self,
        caller: Caller,
        session_id: str,
        params: ReadParams,
        as_of: AsOf,
        now: Callable[[], Awaitable[A | None]],
        then: Callable[[Past], Awaitable[A]],
    ) -> Seen[A]:
        async def answer(log: SessionLog) -> tuple[A, int]:
            at = await self._seq(log, as_of)
            if at == log.projected_seq and not log.decoder.erased:
                found = await now()
                if found is not None and found.seq == at:
                    return found, at
            try:
                return await then(await self._pasts.at(log, at)), at
            except Unfoldable as error:
                raise _unfoldable(error.seq) from None

        known_seq = self._pasts.known_seq(caller.tenant, session_id)
        found, log = await self._logs.read(caller, session_id, params, answer, known_seq=known_seq)
        return Seen(*found, log)

    async def _seq(self, log: SessionLog, as_of: AsOf) -> int:
        """The event that the moment is after."""
        if as_of.seq is not None:
            if as_of.seq == 0:
                raise Problem("not-found", "as_of 0: the session begins with event 1")
            if as_of.seq > log.end:
                if not log.whole:
                    raise Unavailable(_UNKNOWN)
                raise behind_end(log, f"as_of {as_of.seq}")
            return as_of.seq
        assert as_of.moment is not None, "a moment is a seq or a time"
        if not log.whole and as_of.moment >= log.archived.recorded_at:
            raise Unavailable(_UNKNOWN)
        seq = await self._logs.seq_at(log, as_of.moment)
        if seq == 0:
            raise Problem("not-found", "as_of: the session's first event was recorded later")
        return seq


def _unfoldable(seq: int) -> Problem:
    before = f"as_of up to {seq - 1} is answered" if seq > 1 else "nothing of it can be shown"
    return Problem(
        "parked",
        f"event {seq} cannot be folded: an operator retries or skips it (`turnlog parked`); "
        f"{before}",
        parked_seq=seq,
    )
