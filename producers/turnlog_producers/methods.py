"""Every event as a method, written once for the sync session, the async session and the builder."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar, Unpack

from turnlog_producers.core import Event, build
from turnlog_producers.options import (
    CONTINUE,
    EVENT_OPTIONS,
    TURN_FIELDS,
    Absent,
    EventOptions,
    NewTurnOptions,
    TurnOptions,
)
from turnlog_producers.tracing import current_trace
from turnlog_schemas.events import Role, TitleSource, Visibility
from turnlog_schemas.ids import new_id

Result = TypeVar("Result")
"""What a method gives: `Appended`, a coroutine of it, or the `Event` itself."""

Content = str | list[dict[str, Any]] | None
"""Text, or parts such as `{"type": "text", "text": ...}`, or none (a turn of tool calls only)."""


class EventMethods(ABC, Generic[Result]):
    """The events of one session. Every method raises `InvalidEvent` for data that breaks the format
    and `TooLarge` for an event over the limit, both before anything is sent."""

    def __init__(
        self,
        *,
        started: dict[str, Any],
        actor: dict[str, Any] | None,
        max_event_bytes: int,
    ) -> None:
        self._started = started
        self._actor = actor
        self._max_event_bytes = max_event_bytes

    @abstractmethod
    def _take(self, event: Event, expected_seq: int | None) -> Result:
        """Do with a built event what this kind of object is for."""

    def append(
        self,
        type_: str,
        data: dict[str, Any],
        *,
        event_id: str | None = None,
        at: datetime | str | None = None,
        actor: dict[str, Any] | None = None,
        trace: dict[str, Any] | None = None,
        expected_seq: int | None = None,
    ) -> Result:
        """Any event of a known type, its data given as in docs/wire-format.md. A field that the
        type does not list is kept. The arguments are explained in `EventOptions`."""
        event = build(
            type_,
            data,
            event_id=event_id,
            at=at,
            actor=actor or self._actor,
            trace=current_trace() if trace is None else trace,
            max_event_bytes=self._max_event_bytes,
        )
        return self._take(event, expected_seq)

    # Sessions ---------------------------------------------------------------------------------

    def start(self, **options: Unpack[EventOptions]) -> Result:
        """Begin the session with what `session(...)` was given, before its first turn. There is no
        need to: the first append does it. Of a session that has begun it changes nothing."""
        return self.append("session.started", self._started, **options)

    def update(
        self,
        *,
        title: str | None = None,
        title_source: TitleSource | None = None,
        project: str | None = None,
        visibility: Visibility | None = None,
        metadata: dict[str, Any] | None = None,
        archived: bool | None = None,
        pinned: bool | None = None,
        branch: str | None = None,
        **options: Unpack[EventOptions],
    ) -> Result:
        """Change what is given. `metadata` is merged key by key, a null value removes the key;
        a title whose source is `model` never replaces one that a user gave."""
        data = {
            "title": title,
            "title_source": title_source,
            "project": project,
            "visibility": visibility,
            "metadata": metadata,
            "archived": archived,
            "pinned": pinned,
            "branch": branch,
        }
        return self.append("session.updated", _given(data), **options)

    def rename(
        self, title: str, *, source: TitleSource = "user", **options: Unpack[EventOptions]
    ) -> Result:
        """Give the session a title."""
        return self.update(title=title, title_source=source, **options)

    def choose_branch(self, branch_id: str, **options: Unpack[EventOptions]) -> Result:
        """Show this branch of the session, until another turn opens a new one."""
        return self.update(branch=branch_id, **options)

    def clear(self, **options: Unpack[EventOptions]) -> Result:
        """Hide the turns so far. They stay in the log."""
        return self.append("session.cleared", {}, **options)

    def delete(self, **options: Unpack[EventOptions]) -> Result:
        """Take the session out of every list, until `restore`."""
        return self.append("session.deleted", {}, **options)

    def restore(self, **options: Unpack[EventOptions]) -> Result:
        """Undo `delete`. What was appended in between is shown."""
        return self.append("session.restored", {}, **options)

    def erase(self, **options: Unpack[EventOptions]) -> Result:
        """Remove the session for good: a tombstone stays. It takes no event any more: appends raise
        `SessionErased`. Its text goes from archive and read models once the projector has passed
        the event, and from Redis right after: not yet when this returns. See docs/erasure.md."""
        return self.append("session.erased", {}, **options)

    # Turns ------------------------------------------------------------------------------------

    def append_turn(
        self, role: Role, content: Content = None, **options: Unpack[NewTurnOptions]
    ) -> Result:
        """A whole turn. A second one with the same turn_id changes nothing."""
        return self._whole_turn("turn.appended", {"role": role}, content, options)

    def start_turn(
        self,
        role: Role = "assistant",
        *,
        turn_id: str | None = None,
        name: str | None = None,
        model: str | None = None,
        parent_turn_id: str | Literal[Absent.CONTINUE] | None = CONTINUE,
        metadata: dict[str, Any] | None = None,
        **options: Unpack[EventOptions],
    ) -> Result:
        """A streamed turn begins. `complete_turn` or `interrupt_turn` ends it, with all its text:
        what has been streamed before that is not in the log."""
        event_id = options["event_id"] = options.get("event_id") or new_id()
        data: dict[str, Any] = {"turn_id": turn_id or event_id, "role": role}
        data |= _given({"name": name, "model": model, "metadata": metadata})
        if parent_turn_id is not CONTINUE:
            data["parent_turn_id"] = parent_turn_id
        return self.append("turn.started", data, **options)

    def complete_turn(
        self,
        turn_id: str,
        content: Content = None,
        *,
        role: Role = "assistant",
        **options: Unpack[TurnOptions],
    ) -> Result:
        """A streamed turn has ended; this is all of it. It replaces what an interruption left."""
        data = {"turn_id": turn_id, "role": role}
        return self._whole_turn("turn.completed", data, content, options)

    def interrupt_turn(
        self,
        turn_id: str,
        content: Content = None,
        *,
        role: Role = "assistant",
        reason: str | None = None,
        **options: Unpack[TurnOptions],
    ) -> Result:
        """A streamed turn has ended early: the text so far, and why."""
        data = {"turn_id": turn_id, "role": role} | _given({"reason": reason})
        return self._whole_turn("turn.interrupted", data, content, options)

    def edit_turn(
        self,
        turn_id: str,
        content: Content,
        *,
        reason: str | None = None,
        **options: Unpack[EventOptions],
    ) -> Result:
        """Replace a turn's content; the former one stays as a revision."""
        data = {"turn_id": turn_id, "content": content} | _given({"reason": reason})
        return self.append("turn.edited", data, **options)

    def retract_turn(
        self, turn_id: str, *, reason: str | None = None, **options: Unpack[EventOptions]
    ) -> Result:
        """Take a turn out of histories, counts and search. It stays in the log."""
        data = {"turn_id": turn_id} | _given({"reason": reason})
        return self.append("turn.retracted", data, **options)

    def erase_turn(
        self, turn_id: str, *, reason: str | None = None, **options: Unpack[EventOptions]
    ) -> Result:
        """Remove what was written in a turn for good, in later events of it, too. It goes from
        archive and read models once the projector has passed the event, and from Redis right
        after: not yet when this returns. `reason` stays."""
        data = {"turn_id": turn_id} | _given({"reason": reason})
        return self.append("turn.erased", data, **options)

    def annotate_turn(
        self,
        turn_id: str,
        kind: Literal["rating", "reaction", "comment"],
        value: bool | float | str | None = None,
        *,
        by: str | None = None,
        remove: bool | None = None,
        **options: Unpack[EventOptions],
    ) -> Result:
        """Rate, react to or comment on a turn. Of one person the newest rating counts, and a rating
        of None takes it back; `remove=True` takes an equal reaction or comment back."""
        data = {"turn_id": turn_id, "kind": kind, **_given({"by": by, "remove": remove})}
        return self.append("turn.annotated", data | {"value": value}, **options)

    def _whole_turn(
        self, type_: str, data: dict[str, Any], content: Content, options: Mapping[str, Any]
    ) -> Result:
        event: dict[str, Any] = {}
        if content is not None:
            data["content"] = content
        for name, value in options.items():
            if name in EVENT_OPTIONS:
                event[name] = value
            elif name == "parent_turn_id":
                if value is not CONTINUE:
                    data[name] = value
            elif name in TURN_FIELDS or (name == "turn_id" and name not in data):
                if value is not None:
                    data[name] = value
            else:
                raise TypeError(f"unexpected keyword argument {name!r} for a {type_}")
        if "turn_id" not in data:
            # A call that is repeated with its event_id then names the same turn.
            event_id = event["event_id"] = event.get("event_id") or new_id()
            data["turn_id"] = event_id
        return self.append(type_, data, **event)


class EventBuilder(EventMethods[Event]):
    """Builds events and sends nothing: what `append_batch` takes."""

    def _take(self, event: Event, expected_seq: int | None) -> Event:
        if expected_seq is not None:
            raise TypeError("expected_seq is an argument of append_batch, not of its events")
        return event


def _given(data: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if value is not None}
