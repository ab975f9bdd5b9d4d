"""Import of conversations: each becomes a session, its messages turns.

Event ids derive from tenant, session, place and content, so that the log itself knows what it has:
a second run adds nothing, a broken one goes on, a conversation that has grown gets its new turns.
A session that the log holds with other content is never mixed with it; its line is refused.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, NamedTuple, Protocol

from pydantic_core import from_json, to_json

from turnlog_cli.imported import Imported
from turnlog_cli.lines import MAX_LINE_BYTES, Line
from turnlog_producers.core import Appended, Event, build
from turnlog_producers.errors import Conflict, SessionErased
from turnlog_projector.errors import NotReady
from turnlog_schemas.errors import InvalidEvent
from turnlog_schemas.events import MAX_BATCH_BYTES, MAX_BATCH_EVENTS
from turnlog_schemas.ids import derived_id
from turnlog_schemas.openai import Conversation, from_openai

_IN_FLIGHT = 256
_IN_FLIGHT_BYTES = MAX_LINE_BYTES
_ATTEMPTS = 20


class Session(Protocol):
    """A producer's session, as far as an import needs it."""

    def append_batch(
        self, events: Sequence[Event], *, expected_seq: int | None = None
    ) -> Awaitable[list[Appended]]: ...


class Fault(NamedTuple):
    """A line that was not imported, and why."""

    line: int
    reason: str


class Counts:
    """What an import has done so far."""

    def __init__(self) -> None:
        self.lines = 0
        self.sessions = 0
        """New ones."""
        self.turns = 0
        """New ones."""
        self.sessions_already_there = 0
        self.turns_already_there = 0
        self.events = 0
        """New ones, of the lines of an export."""
        self.events_already_there = 0
        self.bad_lines = 0


class _OtherContent(InvalidEvent):
    """The log has another session of that name."""


class Importer:
    """Takes lines, up to 256 at a time. Lines of one session are taken one after another."""

    def __init__(
        self,
        open_session: Callable[[str], Session],
        imported: Imported,
        *,
        tenant: str,
        max_event_bytes: int,
        tell_fault: Callable[[Fault], None],
    ) -> None:
        self.counts = Counts()
        self._open_session = open_session
        self._imported = imported
        self._tenant = tenant
        self._max_event_bytes = max_event_bytes
        self._tell_fault = tell_fault
        self._tasks: dict[asyncio.Task[None], int] = {}
        self._bytes = 0
        self._last_of: dict[str, asyncio.Task[None]] = {}

    async def take(self, line: Line) -> None:
        """Begin with a line; waits while too many are under way.

        Raises what stops the import as a whole, such as `Unavailable`.
        """
        self.counts.lines += 1
        try:
            conversation, events = self._read(line)
        except InvalidEvent as error:
            self._refuse(line, str(error))
            return
        await self._begin(
            conversation.session_id,
            sum(len(event.raw) for event in events),
            lambda before: self._add(line, conversation, events, before),
        )

    async def finish(self) -> None:
        """Wait until everything that was taken is in the log."""
        while self._tasks:
            await self._some_done()

    async def _begin(
        self,
        session_id: str,
        size: int,
        work: "Callable[[asyncio.Task[None] | None], Coroutine[Any, Any, None]]",
    ) -> None:
        """Begin with something of a session, which is given what was begun before of the same one;
        waits while too much is under way."""
        task = asyncio.create_task(work(self._last_of.get(session_id)))
        self._last_of[session_id] = task
        self._tasks[task] = size
        task.add_done_callback(lambda _: self._forget(session_id, task))
        self._bytes += size
        while len(self._tasks) >= _IN_FLIGHT or self._bytes > _IN_FLIGHT_BYTES:
            await self._some_done()

    async def _some_done(self) -> None:
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            self._bytes -= self._tasks.pop(task)
            task.result()

    def _forget(self, session_id: str, task: "asyncio.Task[None]") -> None:
        if self._last_of.get(session_id) is task:
            del self._last_of[session_id]
        if not task.cancelled():
            task.exception()  # looked at: `_some_done` raises the first, the others say the same

    def _refuse(self, line: Line, reason: str) -> None:
        self.counts.bad_lines += 1
        self._tell_fault(Fault(line.number, reason))

    def _read(self, line: Line) -> tuple[Conversation, list[Event]]:
        """The whole line is checked before anything of it is written."""
        if line.text is None:
            raise InvalidEvent(f"longer than {MAX_LINE_BYTES // 1024 // 1024} MiB")
        try:
            value: object = from_json(line.text, allow_inf_nan=False)
        except ValueError as error:
            raise InvalidEvent(f"no JSON: {_json_fault(error)}") from None
        conversation = from_openai(value)
        return conversation, self._events(conversation)

    def _events(self, conversation: Conversation) -> list[Event]:
        session_id = conversation.session_id
        user_id: str = conversation.started.get("user_id") or ""
        # The user is a part of the id: the same name for another user is another session.
        event_id = derived_id("import", self._tenant, session_id, "started", user_id)
        events = [self._build("session.started", conversation.started, event_id, conversation.at)]
        for place, turn in enumerate(conversation.turns):
            content = to_json(turn.data).decode()
            event_id = derived_id("import", self._tenant, session_id, str(place), content)
            try:
                events.append(self._build("turn.appended", turn.data, event_id, turn.at))
            except InvalidEvent as error:
                reason = str(error).replace("data.", "", 1)
                raise InvalidEvent(f"messages.{place}: {reason}") from None
        return events

    def _build(self, type_: str, data: dict[str, Any], event_id: str, at: str | None) -> Event:
        return build(type_, data, event_id=event_id, at=at, max_event_bytes=self._max_event_bytes)

    async def _add(
        self,
        line: Line,
        conversation: Conversation,
        events: list[Event],
        before: "asyncio.Task[None] | None",
    ) -> None:
        if before is not None:
            await asyncio.wait([before])
        try:
            known = await self._append_new(conversation.session_id, events)
        except (_OtherContent, SessionErased, NotReady) as error:
            self._refuse(line, str(error))
            return
        counts = self.counts
        counts.sessions += known == 0
        counts.sessions_already_there += known > 0
        counts.turns += len(events) - max(known, 1)
        counts.turns_already_there += max(known - 1, 0)

    async def _append_new(self, session_id: str, events: list[Event]) -> int:
        """Append what the log does not have; returns how many of the events it had.

        The first call expects a new session. A repeat is answered without asking that, so it also
        serves a session whose every event is known.
        """
        session = self._open_session(session_id)
        known = expected = 0
        rest = events
        for _ in range(_ATTEMPTS):
            try:
                for batch in _batches(rest):
                    appended = await session.append_batch(batch, expected_seq=expected)
                    known += sum(each.repeat for each in appended)
                    expected = appended[-1].seq
                return known
            except Conflict:
                found = await self._imported.find(session_id, events)
                if not found.is_beginning:
                    raise _OtherContent(
                        f"session {session_id} is in the log already, with other content"
                    ) from None
                known, expected = found.known, found.seq
                rest = events[known:]
                if not rest:
                    return known
        raise _OtherContent(f"session {session_id} is being written to; import it again later")


def _json_fault(error: ValueError) -> str:
    """What is wrong with the JSON, in one line and in words."""
    text = str(error).splitlines()[0][:160].replace(" at line 1 column ", " at column ")
    for term in ("lone leading surrogate in hex escape", "unexpected end of hex escape"):
        text = text.replace(term, "a lone surrogate, which is no Unicode character,")
    return text


def _batches(events: Sequence[Event]) -> list[list[Event]]:
    """Cut into what one call may carry."""
    batches: list[list[Event]] = [[]]
    size = 0
    for event in events:
        size += len(event.raw)
        if batches[-1] and (len(batches[-1]) == MAX_BATCH_EVENTS or size > MAX_BATCH_BYTES):
            batches.append([])
            size = len(event.raw)
        batches[-1].append(event)
    return batches
