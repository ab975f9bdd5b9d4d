"""Events to bytes and back: the one place where the stored form is written and read."""

from dataclasses import dataclass, field
from types import NoneType
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, PydanticSerializationError, from_json, to_json

from turnlog_schemas import times
from turnlog_schemas.errors import InvalidEvent
from turnlog_schemas.events import CURRENT_VERSION, EVENT_TYPES, MAX_VERSION, Envelope
from turnlog_schemas.ids import is_id
from turnlog_schemas.limits import NEW_EVENT_TYPES
from turnlog_schemas.places import place_of
from turnlog_schemas.stubs import is_stub
from turnlog_schemas.upcast import upcast

_envelope = TypeAdapter(Envelope).validator
_data = {name: TypeAdapter(model).validator for name, model in EVENT_TYPES.items()}
_new_data = {name: TypeAdapter(model).validator for name, model in NEW_EVENT_TYPES.items()}

# What JSON can always hold, once it was written.
_FLAT = frozenset({str, int, bool, NoneType})

# Fields whose given value may be repeated in an error: none of them holds what people wrote.
_SHOWN = frozenset(
    {"role", "kind", "visibility", "version", "type", "title_source", "at", "branch"}
    | {"turn_id", "event_id", "parent_turn_id"}
)

# The fields of an envelope without actor and trace.
_PLAIN = ("event_id", "type", "version", "at", "data")
_Object = dict[str, Any]


@dataclass(slots=True)
class RecordedEvent:
    """An event as the log holds it, decoded and lifted to the current version.

    `seq` counts from 1 without gaps; `recorded_at` is Redis' clock in ms since 1970 and never goes
    back within a session. `repeat_of` is the seq of an earlier event with the same id, when an
    append came again after the log had forgotten the id: such an event folds to nothing.
    """

    tenant: str
    session_id: str
    seq: int
    recorded_at: int
    event_id: str
    type: str
    version: int
    at: str
    actor: dict[str, Any] | None
    data: dict[str, Any]
    repeat_of: int | None = None
    erased: int | None = None
    """Of a stub: the seq of the event that erased what it stands for."""
    recorded: str = field(init=False)
    """`recorded_at` as text."""
    shown_at: str = field(init=False)
    """The time shown to people: the producer's, unless that lies after the log's."""

    def __post_init__(self) -> None:
        self.recorded = times.from_ms(self.recorded_at)
        self.shown_at = min(self.at, self.recorded)


def encode(
    type_: str,
    data: dict[str, Any],
    *,
    event_id: str,
    at: str,
    actor: dict[str, Any] | None = None,
    trace: dict[str, Any] | None = None,
) -> bytes:
    """The stored bytes of a new event of a known type, in its current version.

    Raises `InvalidEvent` for data that breaks the format or a bound of `limits`, and for what JSON
    cannot hold: a lone surrogate, NaN, infinity, nesting beyond what every reader can follow.
    """
    validator = _new_data.get(type_)
    if validator is None:
        raise InvalidEvent(f"type: given {type_[:60]!r}; allowed: {', '.join(EVENT_TYPES)}")
    envelope: dict[str, Any] = {
        "event_id": event_id,
        "type": type_,
        "version": CURRENT_VERSION[type_],
        "at": at,
        "actor": actor,
        "data": data,
        "trace": trace,
    }
    for optional in ("actor", "trace"):
        if envelope[optional] is None:
            del envelope[optional]
    try:
        _envelope.validate_python(envelope)
    except ValidationError as error:
        raise InvalidEvent(_explain(error, envelope)) from None
    try:
        validator.validate_python(data)
    except ValidationError as error:
        raise InvalidEvent(_explain(error, data, prefix="data.")) from None
    try:
        raw = to_json(envelope, inf_nan_mode="constants")
        if actor or trace or not all(type(value) in _FLAT for value in data.values()):
            from_json(raw, allow_inf_nan=False)
    except (PydanticSerializationError, ValueError) as error:
        raise InvalidEvent(
            f"{type_}: not representable as JSON: {_unrepresentable(error)}"
        ) from None
    return raw


def decode(
    raw: bytes,
    *,
    tenant: str,
    session_id: str,
    seq: int,
    recorded_at: int,
    repeat_of: int | None = None,
) -> RecordedEvent:
    """Read stored bytes. An event of an unknown type is returned with its data unchecked; of a stub
    the data holds less than the type asks for.

    Raises `InvalidEvent` when the bytes are no JSON or break the format of a known type.
    """
    try:
        envelope: Any = from_json(raw, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidEvent(f"not readable: {_unrepresentable(error)}") from None
    try:
        if not _is_plain(envelope):
            _envelope.validate_python(envelope)
            if "erased" in envelope:
                return _read_stub(envelope, tenant, session_id, seq, recorded_at, repeat_of)
        type_: str = envelope["type"]
        version: int = envelope["version"]
        data: dict[str, Any] = upcast(type_, version, envelope["data"])
    except ValidationError as error:
        raise InvalidEvent(_explain(error, envelope)) from None
    validator = _data.get(type_)
    if validator is not None:
        if version > CURRENT_VERSION[type_]:
            raise InvalidEvent(
                f"version: given {version} of {type_}; this release reads up to "
                f"{CURRENT_VERSION[type_]}: upgrade it"
            )
        try:
            validator.validate_python(data)
        except ValidationError as error:
            raise InvalidEvent(_explain(error, data, prefix="data.")) from None
    return RecordedEvent(
        tenant,
        session_id,
        seq,
        recorded_at,
        envelope["event_id"],
        type_,
        version,
        times.as_logged(envelope["at"]),
        envelope.get("actor"),
        data,
        repeat_of,
    )


def _read_stub(
    envelope: _Object,
    tenant: str,
    session_id: str,
    seq: int,
    recorded_at: int,
    repeat_of: int | None,
) -> RecordedEvent:
    if not is_stub(envelope):
        raise InvalidEvent("erased: only an erasure may write it, and keeps no text beside it")
    return RecordedEvent(
        tenant,
        session_id,
        seq,
        recorded_at,
        envelope["event_id"],
        envelope["type"],
        envelope["version"],
        times.as_logged(envelope["at"]),
        None,
        envelope["data"],
        repeat_of,
        envelope["erased"],
    )


def _is_plain(envelope: Any) -> bool:
    """Whether an envelope is of the usual kind and surely one that the validator accepts; to see
    that takes a third of the time."""
    if type(envelope) is not dict or len(cast(_Object, envelope)) != len(_PLAIN):
        return False
    event_id, type_, version, at, data = map(cast(_Object, envelope).get, _PLAIN)
    return (
        type(event_id) is str
        and is_id(event_id)
        and type(type_) is str
        and type_ in _data
        and type(version) is int
        and 1 <= version <= MAX_VERSION
        and type(at) is str
        and type(data) is dict
    )


def _explain(error: ValidationError, given: object, *, prefix: str = "") -> str:
    """The first few faults, one line: field, what was given, what is allowed."""
    details = error.errors(include_url=False)
    lines = dict.fromkeys(_line(detail, given, prefix) for detail in details)
    return "; ".join(list(lines)[:3])


def _line(detail: ErrorDetails, whole: object, prefix: str) -> str:
    names = [str(step)[:60] for step in place_of(detail, whole)]
    # What concerns several fields, or the whole, has no place.
    field = (prefix + ".".join(names[:4])).removesuffix(".") or "event"
    if detail["type"] == "missing":
        return f"{field}: missing"
    message = detail["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    given: Any = detail["input"]
    if detail["loc"] and detail["loc"][0] in _SHOWN and isinstance(given, str | int):
        return f"{field}: given {str(given)[:60]!r}; {message}"
    return f"{field}: given {_type_name(given)}; {message}"


def _type_name(value: object) -> str:
    names = {"str": "a text", "int": "a whole number", "float": "a number", "bool": "true or false"}
    names |= {"NoneType": "null", "list": "a list", "dict": "an object"}
    name = type(value).__name__
    return names.get(name, name)


def _unrepresentable(error: ValueError) -> str:
    """Why JSON cannot hold it, without quoting what it was."""
    text = str(error)
    if "surrogate" in text:
        return "a text holds a lone surrogate, which is no Unicode character"
    if "recursion" in text:
        return "nested too deeply"
    if "expected value" in text or "NaN" in text or "Infinity" in text:
        return "NaN and infinity are no JSON numbers"
    return text.splitlines()[0].split(" at line ")[0][:120]
