"""Conversations in the form of OpenAI's chat API: into turns, and back.

A line of an import is `{"id", "user", "messages": [...], "metadata"?, "created_at"?, "title"?}`.
What a turn has no field for is kept in its metadata under `openai`, so that `to_openai` gives back
an equal object:

    fields   every further field of the object, as it came
    null     names of known fields that stood there as null
    absent   ["content"] when it had no content at all

The session's metadata keeps the same of the whole line (an id that was not allowed as a session id
among the fields), `user` when that was a number, and `metadata`: what the session's own metadata
cannot hold.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast

from pydantic_core import to_json

from turnlog_schemas import times
from turnlog_schemas.errors import InvalidEvent
from turnlog_schemas.ids import check_id, derived_id

KEY = "openai"
"""The key in the metadata of turns and sessions."""

_ROLES = ("system", "developer", "user", "assistant", "tool", "agent")
_TURN_FIELDS = ("content", "name", "tool_calls", "tool_call_id")
_SESSION_FIELDS = ("id", "user", "title", "metadata")
_TIMES = ("created_at", "timestamp", "at")
_MILLISECONDS_FROM = 100_000_000_000
"""A number from here on can only mean milliseconds: as seconds it lies in the year 5138."""


class ImportedTurn(NamedTuple):
    """A turn of a conversation: the data of its `turn.appended`, and its time, where one is given
    (else that of the turn before it, or of the conversation)."""

    data: dict[str, Any]
    at: str | None


class Conversation(NamedTuple):
    """A conversation, not yet validated as events: data of its `session.started`, and its turns."""

    session_id: str
    started: dict[str, Any]
    at: str | None
    turns: list[ImportedTurn]


def from_openai(line: object) -> Conversation:
    """Read one conversation. Raises `InvalidEvent` that names the field, what was given and what is
    allowed.

    Without an id the conversation is known by its content. An id that is not allowed as a session
    id becomes a derived one; so does the id of a message as a turn id, or one that comes twice.
    """
    if not isinstance(line, dict):
        raise InvalidEvent(f"given {_kind(line)}; allowed is an object with messages")
    given = cast(dict[str, Any], line)
    messages = given.get("messages")
    if not isinstance(messages, list):
        raise InvalidEvent(f"messages: given {_kind(messages)}; allowed is a list of messages")
    session_id = _session_id(given)
    known = {"messages", *_SESSION_FIELDS}
    if given.get("id") not in (None, session_id):
        known.remove("id")
    at = _time(given, "")
    started = {
        "user_id": _user(given.get("user")),
        "title": given.get("title"),
        "metadata": _session_metadata(given, known),
    }
    turns: list[ImportedTurn] = []
    turn_ids: set[str] = set()
    latest = at
    for place, message in enumerate(cast(list[object], messages)):
        turn = _turn(session_id, place, message, turn_ids)
        latest = turn.at or latest
        turns.append(turn._replace(at=latest))
    return Conversation(session_id, {k: v for k, v in started.items() if v is not None}, at, turns)


def to_openai(turn: Mapping[str, Any]) -> dict[str, Any]:
    """The message that a turn was made from, or would be: of an imported turn an equal object.

    `turn` is a turn as the API shows it, or the data of its event.
    """
    kept = _kept(turn.get("metadata"))
    message: dict[str, Any] = {"role": turn["role"]}
    if "content" not in kept.get("absent", ()):
        message["content"] = turn.get("content")
    for name in _TURN_FIELDS[1:]:
        if turn.get(name) is not None:
            message[name] = turn[name]
    return message | dict.fromkeys(kept.get("null", ())) | kept.get("fields", {})


def to_openai_line(session: Mapping[str, Any], messages: list[dict[str, Any]]) -> dict[str, Any]:
    """The line of a session, with these messages. A title that the session got by itself, from its
    first turn, is left out."""
    metadata: dict[str, Any] = dict(session.get("metadata") or {})
    kept: dict[str, Any] = metadata.pop(KEY, {})
    line: dict[str, Any] = {"id": session["session_id"]}
    if "absent" in kept:
        del line["id"]
    if session.get("user_id") is not None:
        line["user"] = kept.get("user", session["user_id"])
    if session.get("title") is not None and session.get("title_source") != "turn":
        line["title"] = session["title"]
    line["messages"] = messages
    metadata |= kept.get("metadata", {})
    if metadata:
        line["metadata"] = metadata
    return line | dict.fromkeys(kept.get("null", ())) | kept.get("fields", {})


def _turn(session_id: str, place: int, message: object, turn_ids: set[str]) -> ImportedTurn:
    where = f"messages.{place}"
    if not isinstance(message, dict):
        raise InvalidEvent(f"{where}: given {_kind(message)}; allowed is an object")
    given = cast(dict[str, Any], message)
    role = given.get("role")
    if role not in _ROLES:
        shown = repr(role[:60]) if isinstance(role, str) else _kind(role)
        raise InvalidEvent(f"{where}.role: given {shown}; allowed: {', '.join(_ROLES)}")
    turn_id = given.get("id")
    if not isinstance(turn_id, str) or not _is_id(turn_id) or turn_id in turn_ids:
        turn_id = derived_id("import", "turn", session_id, str(place))
    turn_ids.add(turn_id)
    data: dict[str, Any] = {"turn_id": turn_id, "role": role}
    data |= {name: given[name] for name in _TURN_FIELDS if given.get(name) is not None}
    kept = _shape(given, {"role", *_TURN_FIELDS}, _TURN_FIELDS[1:])
    if "content" not in given:
        kept["absent"] = ["content"]
    if kept:
        data["metadata"] = {KEY: kept}
    model = given.get("model")
    if isinstance(model, str) and len(model) <= 512 and "\0" not in model:
        data["model"] = model
    return ImportedTurn(data, _time(given, f"{where}."))


def _shape(given: dict[str, Any], known: set[str], optional: tuple[str, ...]) -> dict[str, Any]:
    """What the fields of a turn or a session cannot say about an object."""
    kept: dict[str, Any] = {}
    if fields := {name: value for name, value in given.items() if name not in known}:
        kept["fields"] = fields
    if null := [name for name in optional if name in given and given[name] is None]:
        kept["null"] = null
    return kept


def _session_metadata(given: dict[str, Any], known: set[str]) -> dict[str, Any] | None:
    metadata: object = given.get("metadata")
    if metadata is None:
        metadata = {}
    elif not isinstance(metadata, dict):
        raise InvalidEvent(f"metadata: given {_kind(metadata)}; allowed is an object")
    found = cast(dict[str, Any], metadata)
    kept = _shape(given, known, _SESSION_FIELDS)
    if "id" not in given:
        kept["absent"] = ["id"]
    if isinstance(given.get("user"), int):
        kept["user"] = given["user"]
    # The fold drops keys that are null, and `openai` is ours; an empty object would be dropped too.
    hidden = {k: v for k, v in found.items() if v is None or k == KEY}
    if hidden:
        kept["metadata"] = hidden
    if given.get("metadata") == {}:
        kept["fields"] = {**kept.get("fields", {}), "metadata": {}}
    shown = {k: v for k, v in found.items() if k not in hidden}
    return ({**shown, KEY: kept} if kept else shown) or None


def _session_id(given: dict[str, Any]) -> str:
    value = given.get("id")
    if value is None:
        return derived_id("import", "content", to_json(given).decode())
    if isinstance(value, str) and _is_id(value):
        return value
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise InvalidEvent(f"id: given {_kind(value)}; allowed is a text or a whole number")
    return derived_id("import", "session", type(value).__name__, str(value))


def _is_id(value: str) -> bool:
    try:
        check_id(value, "id")
    except InvalidEvent:
        return False
    return True


def _user(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise InvalidEvent(f"user: given {_kind(value)}; allowed is a text or a whole number")


def _time(given: dict[str, Any], prefix: str) -> str | None:
    """The first time that is given. One without an offset is taken as UTC."""
    for name in _TIMES:
        value = given.get(name)
        if value is None:
            continue
        try:
            return times.normalise(_moment(value))
        except (ValueError, OverflowError, OSError, InvalidEvent):
            raise InvalidEvent(
                f"{prefix}{name}: given {_kind(value)}; allowed is a time such as "
                "2026-01-31T12:00:00Z, or seconds since 1970"
            ) from None
    return None


def _moment(value: object) -> datetime:
    if isinstance(value, str):
        moment = datetime.fromisoformat(value)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError
    seconds = value / 1000 if abs(value) >= _MILLISECONDS_FROM else value
    return datetime.fromtimestamp(seconds, UTC)


def _kept(metadata: Any) -> dict[str, Any]:
    kept = cast(dict[str, Any], metadata).get(KEY) if isinstance(metadata, dict) else None
    return cast(dict[str, Any], kept) if isinstance(kept, dict) else {}


def _kind(value: object) -> str:
    names = {"NoneType": "null", "bool": "true or false", "int": "a whole number"}
    names |= {"float": "a number", "str": "a text", "list": "a list", "dict": "an object"}
    return names.get(type(value).__name__, type(value).__name__)
