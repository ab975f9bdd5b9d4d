"""A session of either client: its events as methods, and the calls that carry them."""

from collections.abc import Coroutine, Sequence
from typing import Any, Protocol

from turnlog_producers.core import Appended, Call, Event, build, check_batch
from turnlog_producers.keys import Keys
from turnlog_producers.methods import EventBuilder, EventMethods, Result
from turnlog_producers.options import STARTED_FIELDS, SessionOptions
from turnlog_producers.settings import ClientSettings
from turnlog_schemas.ids import check_id


class SessionBase(EventMethods[Result]):
    """What both kinds of session share: everything but sending."""

    def __init__(
        self,
        settings: ClientSettings,
        session_id: str,
        options: SessionOptions,
    ) -> None:
        self.session_id = check_id(session_id, "session_id")
        tenant, as_user = options.get("tenant"), options.get("as_user")
        self.tenant = settings.tenant if tenant is None else check_id(tenant, "tenant")
        unknown = options.keys() - SessionOptions.__annotations__.keys()
        if unknown:
            raise TypeError(f"unexpected keyword argument {min(unknown)!r} for session()")
        started: dict[str, Any] = {
            name: value
            for name, value in options.items()
            if name in STARTED_FIELDS and value is not None
        }
        if as_user is not None:
            # A user who writes first is the one to own the session.
            started.setdefault("user_id", as_user)
        super().__init__(
            started=started,
            actor=options.get("actor") or settings.actor,
            max_event_bytes=settings.max_event_bytes,
        )
        self.build = EventBuilder(
            started=self._started, actor=self._actor, max_event_bytes=self._max_event_bytes
        )
        """The same methods, giving events for `append_batch` instead of sending them."""
        self._as_user = as_user or ""
        self._start: Event | None = None
        self._start_due = bool(started)
        self._keys: Keys | None = None

    def _call(self, events: tuple[Event, ...], expected_seq: int | None, keys: Keys) -> Call:
        start = None
        if self._start_due and not any(event.type == "session.started" for event in events):
            if self._start is None:
                self._start = build(
                    "session.started",
                    self._started,
                    at=events[0].at,
                    actor=self._actor,
                    max_event_bytes=self._max_event_bytes,
                )
            start = self._start
        return Call(self.session_id, keys, events, self._as_user, expected_seq, start)

    def _accepted(self, call: Call, reply: Any) -> list[Appended]:
        results = call.results(reply)
        # Someone acted for must own the session even if Redis comes back empty, and a session that
        # begins anew begins with its session.started at the next chance.
        first, event = results[0], call.events[0]
        began_anew = first.seq == 1 and not first.repeat and event.type != "session.started"
        self._start_due = bool(self._started) and (bool(self._as_user) or began_anew)
        return results

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.tenant}:{self.session_id}>"


class Sender(Protocol):
    """The sync client, as its sessions see it."""

    @property
    def settings(self) -> ClientSettings: ...

    def keys_of(self, tenant: str, session_id: str) -> Keys: ...

    def send(self, call: Call) -> Any: ...


class AsyncSender(Protocol):
    """The async client, as its sessions see it."""

    @property
    def settings(self) -> ClientSettings: ...

    async def keys_of(self, tenant: str, session_id: str) -> Keys: ...

    async def send(self, call: Call) -> Any: ...


class ChatSession(SessionBase[Appended]):
    """One session of a `TurnLog`. Threads may share it."""

    def __init__(self, log: Sender, session_id: str, options: SessionOptions) -> None:
        super().__init__(log.settings, session_id, options)
        self._log = log

    def append_batch(
        self, events: Sequence[Event], *, expected_seq: int | None = None
    ) -> list[Appended]:
        """Append events made by `build`, all or none, next to each other. At most 1,000 and 8 MiB:
        `TooLarge` above that. Those that the log has are answered as repeats."""
        return self._send(check_batch(events), expected_seq) if events else []

    def _take(self, event: Event, expected_seq: int | None) -> Appended:
        return self._send((event,), expected_seq)[0]

    def _send(self, events: tuple[Event, ...], expected_seq: int | None) -> list[Appended]:
        if self._keys is None:
            self._keys = self._log.keys_of(self.tenant, self.session_id)
        call = self._call(events, expected_seq, self._keys)
        return self._accepted(call, self._log.send(call))


class AsyncChatSession(SessionBase[Coroutine[Any, Any, Appended]]):
    """One session of an `AsyncTurnLog`. Tasks may share it; appends awaited one after another keep
    their order, those of concurrent tasks come in the order in which they are sent."""

    def __init__(self, log: AsyncSender, session_id: str, options: SessionOptions) -> None:
        super().__init__(log.settings, session_id, options)
        self._log = log

    async def append_batch(
        self, events: Sequence[Event], *, expected_seq: int | None = None
    ) -> list[Appended]:
        """Append events made by `build`, all or none, next to each other. At most 1,000 and 8 MiB:
        `TooLarge` above that. Those that the log has are answered as repeats."""
        return await self._send(check_batch(events), expected_seq) if events else []

    async def _take(self, event: Event, expected_seq: int | None) -> Appended:
        return (await self._send((event,), expected_seq))[0]

    async def _send(self, events: tuple[Event, ...], expected_seq: int | None) -> list[Appended]:
        if self._keys is None:
            self._keys = await self._log.keys_of(self.tenant, self.session_id)
        call = self._call(events, expected_seq, self._keys)
        return self._accepted(call, await self._log.send(call))
