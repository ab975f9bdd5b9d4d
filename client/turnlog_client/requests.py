"""Requests and replies, without any I/O, and the steps that a call consists of.

A method of the client is written once, as steps: a generator that yields each `Request` it wants
sent, is given the `Reply`, and returns the result. Both clients drive the same steps.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, NamedTuple, TypeVar, cast
from urllib.parse import quote

import httpx
from pydantic_core import PydanticSerializationError, from_json, to_json

from turnlog_client.errors import InvalidRequest, ServerFailed
from turnlog_schemas.errors import InvalidEvent
from turnlog_schemas.ids import check_id, new_id

T = TypeVar("T")

MAX_KEY = 255
_JSON = {"Content-Type": "application/json"}


class Freshness(NamedTuple):
    """How far an answer goes. None: the API did not tell."""

    seq: int | None
    """The seq that the answer shows; of a write: that the read models show."""
    head: int | None
    """The seq that the log has; None while Redis is down."""
    behind: int | None = None
    """Of statistics: appends to the log, of all sessions, that are not shown yet."""

    @property
    def lag(self) -> int | None:
        """Events that the log has and that are not shown yet."""
        if self.behind is not None:
            return self.behind
        if self.seq is None or self.head is None:
            return None
        return max(0, self.head - self.seq)


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: a good answer, read whole."""

    request: "Request"
    status: int
    headers: Mapping[str, str]
    body: bytes
    stream: httpx.Response | None = None
    """Of a download: its body is still to be read."""

    def json(self) -> Any:
        """The body. Raises `ServerFailed` when it is not a JSON object."""
        try:
            value: object = from_json(self.body)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise self.unexpected()
        return cast(object, value)

    def unexpected(self) -> ServerFailed:
        """The answer is not one that the API gives."""
        return ServerFailed(
            "the answer is not one of the API of Turnlog: check the address",
            request=self.request.name,
            status=self.status,
            request_id=self.headers.get("x-request-id"),
        )

    @property
    def freshness(self) -> Freshness:
        names = ("turnlog-seq", "turnlog-head", "turnlog-behind")
        return Freshness(*(self._number(name) for name in names))

    @property
    def as_of(self) -> int | None:
        """With `as_of`: the seq that the answer shows."""
        return self._number("turnlog-as-of")

    @property
    def etag(self) -> str | None:
        return self.headers.get("etag")

    @property
    def request_id(self) -> str | None:
        return self.headers.get("x-request-id")

    def _number(self, name: str) -> int | None:
        text = self.headers.get(name, "")
        return int(text) if text.isascii() and text.isdecimal() else None


@dataclass(frozen=True, slots=True)
class Request:
    """A request, which may be sent several times."""

    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    key: str | None = None
    """Of the call, for the error that tells how to repeat it."""
    download: bool = False
    accepts: frozenset[int] = frozenset()
    """Statuses beside 2xx that are no fault when JSON comes with them."""
    repeat_accepts: frozenset[int] = frozenset()
    """Statuses that are no fault when the request was sent before: it had done its work."""

    @property
    def name(self) -> str:
        """For messages: without the query, which may hold what people wrote."""
        return f"{self.method} {self.path}"


Steps = Generator[Request, Reply, T]


def one(request: Request) -> Steps[Any]:
    """A call of one request, whose result is the object it is answered with."""
    reply = yield request
    return reply.json()


def get(
    path: str,
    params: Mapping[str, Any] | None = None,
    *,
    etag: str | None = None,
    download: bool = False,
    accepts: frozenset[int] = frozenset(),
) -> Request:
    """A read; with an etag one that raises `NotModified` when the answer still has it."""
    headers = {} if etag is None else {"If-None-Match": header(etag, "etag")}
    return Request(
        "GET", path, query(params or {}), headers=headers, download=download, accepts=accepts
    )


def write(
    method: str,
    path: str,
    body: Mapping[str, Any] | None = None,
    *,
    params: Mapping[str, Any] | None = None,
    key: str | None = None,
    told_key: str | None = None,
    expected_seq: int | None = None,
) -> Request:
    """A write that is done once, however often it is sent: a key is made up unless given.
    `told_key` is what to tell the caller of it."""
    key = new_id() if key is None else check_key(key)
    headers = {"Idempotency-Key": key}
    if expected_seq is not None:
        headers["If-Match"] = f'"{expected_seq}"'
    raw = None
    if body is not None:
        headers |= _JSON
        raw = encode(body)
    return Request(method, path, query(params or {}), raw, headers, told_key or key)


def encode(body: Mapping[str, Any]) -> bytes:
    """The JSON of a body."""
    try:
        return to_json(body)
    except (PydanticSerializationError, ValueError, RecursionError) as error:
        reason = type(error).__name__
        raise InvalidRequest(
            f"the body cannot be written as JSON ({reason}): use texts, numbers, lists and dicts"
        ) from None


def query(params: Mapping[str, Any]) -> dict[str, str]:
    """Query parameters as text; None leaves one out."""
    return {name: _text(value, name) for name, value in params.items() if value is not None}


def segment(value: str, what: str) -> str:
    """An id as a part of a path. `.` and `..` are allowed as ids: unescaped they would lead to
    another address."""
    try:
        check_id(value, what)
    except InvalidEvent as error:
        raise InvalidRequest(str(error)) from None
    return value.replace(".", "%2E") if value in (".", "..") else value


def text_segment(value: str, what: str) -> str:
    """Any text as a part of a path."""
    if not value:
        raise InvalidRequest(f"{what}: given is an empty text")
    return quote(_unicode(value, what), safe="").replace(".", "%2E")


def check_key(key: str) -> str:
    """The Idempotency-Key, when a header can carry it."""
    if not 1 <= len(key) <= MAX_KEY:
        raise InvalidRequest(f"idempotency_key: allowed are 1 to {MAX_KEY} characters")
    return header(key, "idempotency_key")


def header(value: str, what: str) -> str:
    """The value of a header, when it arrives as it is."""
    if not value.isascii() or not value.isprintable() or value != value.strip():
        raise InvalidRequest(f"{what}: allowed is ASCII text without spaces around it")
    return value


def moment(value: datetime | str, what: str) -> str:
    """A time as the API takes it. One without an offset says nothing about when."""
    if isinstance(value, str):
        return value
    if value.tzinfo is None:
        raise InvalidRequest(f"{what}: give it an offset, such as tzinfo=UTC")
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _text(value: Any, name: str) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case datetime():
            return moment(value, name)
        case date():
            return value.isoformat()
        case _:
            return _unicode(str(value), name)


def _unicode(text: str, what: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidRequest(f"{what}: is not Unicode text") from None
    return text
