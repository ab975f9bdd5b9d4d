"""The pasts of sessions: timelines made, kept while they are being looked at, and asked.

Only what the archive holds is kept: what stands in the stream alone may still be replaced by a
healing. A timeline is dropped when an erasure or a skip has changed how its events are read.
"""

import asyncio
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, NamedTuple, TypeVar
from weakref import WeakValueDictionary

from turnlog_api import moments
from turnlog_api.logsteps import LogEvent, Steps, Wanted
from turnlog_api.longwalk import Walkers
from turnlog_api.queries import TurnsPage, Window
from turnlog_api.sessionlog import SessionLog, SessionLogs
from turnlog_api.timeline import Timeline
from turnlog_schemas.rows import Session

R = TypeVar("R")
_Name = tuple[str, str]

MAX_KEPT_BYTES = 64 * 1024 * 1024
"""The memory of all kept timelines: some ten of sessions of 100,000 turns."""

LONG_WALK_EVENTS = 4000
"""With more events than this to fold it is done in a process of its own."""

_LONG_WALKS = 2
_KEPT_SESSIONS = 16


class Past(NamedTuple):
    """A session after one of its events."""

    log: SessionLog
    timeline: Timeline
    session: Session


class _Kept(NamedTuple):
    version: str
    timeline: Timeline
    sessions: OrderedDict[int, Session]
    """The moments that were looked at last, by seq."""


class _Done(NamedTuple, Generic[R]):
    result: R


class Pasts:
    """Folding is done off the event loop: in one thread, so that it never takes more than half of
    the interpreter from it, and long ones in a process of their own."""

    def __init__(self, url: str, logs: SessionLogs) -> None:
        self._logs = logs
        self._kept: OrderedDict[_Name, _Kept] = OrderedDict()
        self._locks: WeakValueDictionary[_Name, asyncio.Lock] = WeakValueDictionary()
        self._walkers = Walkers(url, most=_LONG_WALKS)
        self._thread = ThreadPoolExecutor(1, "turnlog history")

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._walkers.close()

    def known_seq(self, tenant: str, session_id: str) -> int:
        """Up to which seq the session is kept; 0: not at all."""
        kept = self._kept.get((tenant, session_id))
        return kept.timeline.upto if kept is not None else 0

    async def at(self, log: SessionLog, seq: int) -> Past:
        """The session after the event `seq`, which the log holds. Raises `Unfoldable`, `Gap`."""
        name = log.key.tenant, log.key.session_id
        lock = self._locks.setdefault(name, asyncio.Lock())
        async with lock:
            kept = await self._reaching(log, min(seq, log.archived.seq))
        if seq > log.archived.seq and kept.timeline.upto == log.archived.seq:
            longer = moments.extend(kept.timeline, log.decoder, seq)
            kept = _Kept(kept.version, await self._drive(log, longer), OrderedDict())
        session = kept.sessions.get(seq)
        if session is None:
            session = await self._drive(log, moments.moment(kept.timeline, log.decoder, seq))
            kept.sessions[seq] = session
            while len(kept.sessions) > _KEPT_SESSIONS:
                kept.sessions.popitem(last=False)
        return Past(log, kept.timeline, session)

    async def page(self, past: Past, window: Window) -> TurnsPage:
        """Turns of the session as they were then. Raises `Gap`."""
        steps = moments.turns_page(past.timeline, past.log.decoder, past.session, window)
        return await self._drive(past.log, steps)

    async def _reaching(self, log: SessionLog, upto: int) -> _Kept:
        """A timeline as far as an archived event, if that can be folded."""
        name = log.key.tenant, log.key.session_id
        kept = self._kept.get(name)
        if kept is None or not _holds(kept, log):
            kept = _Kept(log.version, Timeline(), OrderedDict())
        if kept.timeline.upto < upto:
            kept = kept._replace(timeline=await self._longer(log, kept.timeline, upto))
        self._keep(name, kept)
        return kept

    async def _longer(self, log: SessionLog, timeline: Timeline, upto: int) -> Timeline:
        if upto - timeline.upto > LONG_WALK_EVENTS:
            return await self._walkers.extend(timeline, log.decoder, upto)
        return await self._drive(log, moments.extend(timeline, log.decoder, upto))

    def _keep(self, name: _Name, kept: _Kept) -> None:
        self._kept[name] = kept
        self._kept.move_to_end(name)
        held = sum(each.timeline.weight for each in self._kept.values())
        while held > MAX_KEPT_BYTES and self._kept:
            held -= self._kept.popitem(last=False)[1].timeline.weight

    async def _drive(self, log: SessionLog, steps: Steps[R]) -> R:
        """Do a piece of work, a step at a time."""
        loop = asyncio.get_running_loop()
        events: list[LogEvent] | None = None
        while True:
            step = await loop.run_in_executor(self._thread, _step, steps, events)
            if isinstance(step, _Done):
                return step.result
            events = await self._logs.events(log, step)


def _holds(kept: _Kept, log: SessionLog) -> bool:
    """Whether what is kept is a past of this log. One that was made longer since the log was opened
    was looked at then."""
    if kept.version != log.version:
        return False
    known_seq, known_event_id = log.known
    return known_seq != kept.timeline.upto or known_event_id == kept.timeline.event_id


def _step(steps: Steps[R], events: list[LogEvent] | None) -> Wanted | _Done[R]:
    try:
        return next(steps) if events is None else steps.send(events)
    except StopIteration as done:
        return _Done(done.value)
