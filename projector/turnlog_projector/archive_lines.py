"""The lines of an archive dump: see docs/archive-dump.md, which describes them for others.

Every line is a JSON object in UTF-8 whose last member, `crc`, is the CRC-32 of what stands before
it in the line, so that a damaged line can be named.
"""

from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from itertools import count
from typing import Any, NamedTuple, cast
from zlib import crc32

from pydantic_core import from_json, to_json

from turnlog_projector.batch import event_hash
from turnlog_schemas.errors import TurnlogError
from turnlog_schemas.ids import is_id

FORMAT = 1
_CRC = b',"crc":"'
_CRC_BYTES = len(_CRC) + len('01234567"}')


class BadDump(TurnlogError):
    """What was given is no dump, or a damaged one; the text names the line."""


class Header(NamedTuple):
    """The first line."""

    turnlog_archive: int
    """The version of the format."""
    log_id: str
    partitions: int
    events: int
    sessions: int
    parked: int
    """Parked and skipped events."""
    erasures: int
    made_at: str


class DumpedEvent(NamedTuple):
    """An event of the archive."""

    tenant: str
    session_id: str
    seq: int
    event_id: str
    recorded_at: int
    """ms since 1970."""
    repeat_of: int | None
    hash: bytes
    """BLAKE2b-128 of the bytes."""
    raw: bytes


def line(value: dict[str, Any]) -> bytes:
    """The line of an object, with its line feed."""
    text = to_json(value)[:-1]
    return b'%b%b%08x"}\n' % (text, _CRC, crc32(text))


def event_line(event: DumpedEvent) -> bytes:
    """The line of an event."""
    value: dict[str, Any] = {
        "tenant": event.tenant,
        "session_id": event.session_id,
        "seq": event.seq,
        "event_id": event.event_id,
        "recorded_at": event.recorded_at,
    }
    if event.repeat_of is not None:
        value["repeat_of"] = event.repeat_of
    value["hash"] = event.hash.hex()
    try:
        value["event"] = event.raw.decode()
    except UnicodeDecodeError:
        value["base64"] = b64encode(event.raw).decode()
    return line(value)


def end_line(events: int, digest: bytes) -> bytes:
    """The last line; `digest` is that of everything before it."""
    return line({"end": True, "events": events, "blake2b": digest.hex()})


def new_digest() -> "blake2b":
    """Of all lines but the last."""
    return blake2b(digest_size=32)


def read_line(text: bytes, number: int) -> dict[str, Any]:
    """The object of a line. Raises `BadDump`."""
    text = text.rstrip(b"\r\n")
    body, crc = text[:-_CRC_BYTES], text[-_CRC_BYTES:]
    if crc != b'%b%08x"}' % (_CRC, crc32(body)):
        raise BadDump(f"line {number} is damaged, or no line of an archive dump")
    try:
        return cast(dict[str, Any], from_json(text))
    except ValueError:
        raise BadDump(f"line {number} is no JSON") from None


class DumpReader:
    """Reads a dump from its lines, once. Raises `BadDump` for one that begins with no header."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = zip(count(1), lines)
        _, first = next(self._lines, (1, b""))
        self.header = _read_header(first)
        self._digest = new_digest()
        self._digest.update(first)

    def objects(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """The objects between the first and the last line, each with the number of its line.

        Raises `BadDump` unless all is there and as it was dumped; only when this has come to its
        end, what it gave before may be trusted.
        """
        events, number = 0, 1
        for number, text in self._lines:
            value = read_line(text, number)
            if "end" in value:
                self._check_end(value, events, number)
                return
            self._digest.update(text)
            events += "seq" in value
            yield number, value
        raise BadDump(f"the dump is cut off behind line {number}")

    def _check_end(self, value: dict[str, Any], events: int, number: int) -> None:
        if value.get("blake2b") != self._digest.hexdigest():
            raise BadDump("the lines are not those that were dumped, or not in their order")
        if not events == value.get("events") == self.header.events:
            raise BadDump(f"the dump holds {events} of {self.header.events} events")
        if next(self._lines, None) is not None:
            raise BadDump(f"line {number + 1} stands behind the end of the dump")


def _read_header(text: bytes) -> Header:
    value = read_line(text, 1)
    if "turnlog_archive" not in value:
        raise BadDump("line 1 is no header of an archive dump")
    if value["turnlog_archive"] != FORMAT:
        raise BadDump(
            f"the dump is of format {value['turnlog_archive']}, this release reads {FORMAT}: "
            "upgrade turnlog"
        )
    try:
        return Header(*(value[name] for name in Header._fields))
    except KeyError as error:
        raise BadDump(f"line 1 lacks {error}") from None


def read_event(value: dict[str, Any], number: int) -> DumpedEvent:
    """The event of a line. Raises `BadDump`, also when its bytes do not match its hash."""
    try:
        if "base64" in value:
            raw = b64decode(value["base64"], validate=True)
        else:
            raw = value["event"].encode()
        event = DumpedEvent(
            value["tenant"],
            value["session_id"],
            value["seq"],
            value["event_id"],
            value["recorded_at"],
            value.get("repeat_of"),
            bytes.fromhex(value["hash"]),
            raw,
        )
    except (KeyError, ValueError, TypeError, AttributeError):
        raise BadDump(f"line {number} is no event") from None
    if not (is_id(event.tenant) and is_id(event.session_id) and is_id(event.event_id)):
        raise BadDump(f"line {number} names a session or an event by no id")
    if event_hash(raw) != event.hash:
        raise BadDump(f"line {number}: the bytes of the event do not match their hash")
    return event
