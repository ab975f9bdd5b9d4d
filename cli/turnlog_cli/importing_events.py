"""Import of what `turnlog export --format jsonl` has written: the events of sessions, each at the
seq that it had.

The log knows an event by its id, so a second run adds nothing, a broken one goes on, and an export
that has grown brings its new events. A session that the log holds with other events is left alone.
"""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from turnlog_cli.imported import Imported
from turnlog_cli.importing import Fault, Importer, Session
from turnlog_cli.lines import MAX_LINE_BYTES, Line
from turnlog_producers.core import Event
from turnlog_producers.errors import Conflict, SessionErased, TooLarge
from turnlog_projector.errors import NotReady
from turnlog_schemas.errors import InvalidEvent
from turnlog_schemas.events import MAX_BATCH_BYTES, MAX_BATCH_EVENTS
from turnlog_schemas.exportlines import ExportLine, again, read_line

_ATTEMPTS = 5


class _Current:
    """The session whose lines are being read: they come one after another."""

    def __init__(self, session_id: str, first_seq: int) -> None:
        self.session_id = session_id
        self.next_seq = first_seq
        self.stopped = False
        """Nothing more of it is taken: a line cannot be."""
        self.failed = False
        """Nothing more of it is appended."""
        self.is_new: bool | None = None


class _Run(NamedTuple):
    """Events that are appended by one call."""

    session: _Current
    first_line: Line
    first_seq: int
    events: list[Event]


class EventImporter(Importer):
    """Takes lines of an export."""

    def __init__(
        self,
        open_session: Callable[[str], Session],
        imported: Imported,
        *,
        tenant: str,
        max_event_bytes: int,
        tell_fault: Callable[[Fault], None],
    ) -> None:
        super().__init__(
            open_session,
            imported,
            tenant=tenant,
            max_event_bytes=max_event_bytes,
            tell_fault=tell_fault,
        )
        self._current: _Current | None = None
        self._run: _Run | None = None
        self._run_bytes = 0

    async def take(self, line: Line) -> None:
        """Begin with a line; waits while too many are under way."""
        self.counts.lines += 1
        try:
            found = self._read_line(line)
        except InvalidEvent as error:
            self._refuse(line, str(error))
            return
        current = self._current
        if current is None or current.session_id != found.session_id or found.seq == 1:
            await self._send()
            current = self._current = _Current(found.session_id, found.seq)
        if current.stopped or current.failed:
            return
        try:
            event = self._event(current, found)
        except InvalidEvent as error:
            current.stopped = True
            self._refuse(
                line,
                f"session {found.session_id}, event {found.seq}: {error}; it and what comes behind"
                " it are left out",
            )
            return
        current.next_seq += 1
        await self._add_event(current, line, found.seq, event)

    async def finish(self) -> None:
        """Wait until everything that was taken is in the log."""
        await self._send()
        await super().finish()

    def _read_line(self, line: Line) -> ExportLine:
        if line.text is None:
            raise InvalidEvent(f"longer than {MAX_LINE_BYTES // 1024 // 1024} MiB")
        return read_line(line.text)

    def _event(self, current: _Current, found: ExportLine) -> Event:
        if found.seq != current.next_seq:
            raise InvalidEvent(f"expected is event {current.next_seq}")
        event = Event(*again(found))
        if event.type == "session.erased":
            raise InvalidEvent("session.erased: an export holds no erased sessions")
        if len(event.raw) > self._max_event_bytes:
            raise InvalidEvent(f"{len(event.raw):,} bytes, the limit is {self._max_event_bytes:,}")
        return event

    async def _add_event(self, current: _Current, line: Line, seq: int, event: Event) -> None:
        run = self._run
        if run is not None:
            full = len(run.events) == MAX_BATCH_EVENTS
            if full or self._run_bytes + len(event.raw) > MAX_BATCH_BYTES:
                await self._send()
                run = None
        if run is None:
            run = self._run = _Run(current, line._replace(text=None), seq, [])
            self._run_bytes = 0
        run.events.append(event)
        self._run_bytes += len(event.raw)

    async def _send(self) -> None:
        """Append what was gathered."""
        run, self._run = self._run, None
        if run is None:
            return
        await self._begin(
            run.session.session_id, self._run_bytes, lambda before: self._append(run, before)
        )

    async def _append(self, run: _Run, before: "asyncio.Task[None] | None") -> None:
        if before is not None:
            await asyncio.wait([before])
        session = run.session
        if session.failed:
            return
        try:
            known = await self._append_unknown(run)
        except (InvalidEvent, TooLarge, SessionErased, NotReady) as error:
            session.failed = True
            self._refuse(run.first_line, str(error))
            return
        self.counts.events += len(run.events) - known
        self.counts.events_already_there += known
        if session.is_new is None:
            session.is_new = known == 0 and run.first_seq == 1
            self.counts.sessions += session.is_new
            self.counts.sessions_already_there += not session.is_new

    async def _append_unknown(self, run: _Run) -> int:
        """Append what the log does not have; returns how many of the events it had."""
        log = self._open_session(run.session.session_id)
        known = 0
        for _ in range(_ATTEMPTS):
            rest = run.events[known:]
            first_seq = run.first_seq + known
            try:
                appended = await log.append_batch(rest, expected_seq=first_seq - 1)
            except Conflict:
                known = await self._known(run)
                if known == len(run.events):
                    return known
                continue
            if [each.seq for each in appended] != [first_seq + n for n in range(len(rest))]:
                raise _other_events(run)
            return known + sum(each.repeat for each in appended)
        raise InvalidEvent(
            f"session {run.session.session_id} is being written to; import it again later"
        )

    async def _known(self, run: _Run) -> int:
        """How many of the events, from the first one on, the session has at their places. Raises
        when it has anything else there, or behind them."""
        places = await self._imported.places(run.session.session_id, run.events)
        known = len(places.of)
        expected = {each.event_id: run.first_seq + n for n, each in enumerate(run.events[:known])}
        if places.of != expected:
            raise _other_events(run)
        if known < len(run.events) and places.seq != run.first_seq - 1 + known:
            if places.seq < run.first_seq - 1:
                raise InvalidEvent(
                    f"session {run.session.session_id}: the log has its events up to"
                    f" {places.seq}, and this is event {run.first_seq}"
                )
            raise _other_events(run)
        return known


def _other_events(run: _Run) -> InvalidEvent:
    return InvalidEvent(
        f"session {run.session.session_id} is in the log already, with other events"
    )
