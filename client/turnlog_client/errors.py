"""What can go wrong with a call of the API, by what the caller does next.

TurnlogError                                                             (turnlog_schemas)
├── ApiError                the API refused, or could not be asked; tells status, code, request id
│   ├── InvalidRequest      change the request
│   │   └── KeyReused       a new request needs a new Idempotency-Key
│   ├── NotAllowed          come as somebody else
│   │   ├── Unauthenticated with a good token
│   │   └── Forbidden       with the scope, or as the user, that this needs
│   ├── NotFound            nothing is there, or it is not yours to see: stop asking for it
│   ├── Conflict            read again and decide
│   │   └── SessionExists   choose another session_id
│   ├── NotModified         use what you have: it still has the etag that you named
│   ├── Unavailable         repeat the call later, with the same key: a write may have been done
│   └── ServerFailed        tell whoever runs the API, with the request id
└── Misconfigured           change an address or a setting of the client
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from pydantic_core import from_json

from turnlog_schemas.errors import TurnlogError

_CODE = re.compile(r"urn:turnlog:problem:([a-z0-9-]{1,60})")
_LONGEST = 500


class Fault(NamedTuple):
    """One thing that is wrong with a request."""

    detail: str
    pointer: str = ""
    """Where in the body, as a JSON pointer (RFC 6901)."""
    parameter: str = ""
    """Which query parameter."""


class ApiError(TurnlogError):
    """Base of what a call raises. The text names the method, the path and what the API said; never
    a token, a query or what people wrote."""

    def __init__(
        self,
        detail: str,
        *,
        request: str = "",
        status: int | None = None,
        code: str = "",
        request_id: str | None = None,
        faults: tuple[Fault, ...] = (),
        members: Mapping[str, Any] | None = None,
    ) -> None:
        where = f"{request}: " if request else ""
        kind = " ".join(str(part) for part in (status, code) if part)
        named = f" (request {request_id})" if request_id else ""
        super().__init__(f"{where}{kind}{': ' if kind else ''}{detail}{named}")
        self.detail = detail
        """What to do, in the words of the API."""
        self.status = status
        """Of the answer; None when there was none."""
        self.code = code
        """The kind of problem, such as `not-found`; '' when the answer is not one of the API."""
        self.request_id = request_id
        """Under which the log of the API knows the request."""
        self.faults = faults
        """All that is wrong with the request, when the API tells it by place."""
        self.members: Mapping[str, Any] = members or {}
        """Further members of the problem document, such as `head`."""
        self.idempotency_key: str | None = None
        """Of the write that failed: pass it as `idempotency_key=` when repeating the call."""

    @property
    def pointer(self) -> str:
        """Where in the body the first fault is; '' when that is not told."""
        return self.faults[0].pointer if self.faults else ""


class InvalidRequest(ApiError):
    """The request breaks the format, or a limit. Nothing was written."""


class KeyReused(InvalidRequest):
    """The Idempotency-Key stands for another request. Nothing was written."""


class NotAllowed(ApiError):
    """The API does not let the caller do this."""


class Unauthenticated(NotAllowed):
    """There is no token, or not a good one; a token provider has been asked for another one."""


class Forbidden(NotAllowed):
    """The token lacks a scope, or the session belongs to somebody else."""


class NotFound(ApiError):
    """There is no such thing, it was erased for good, or it is not the caller's to see."""


class Conflict(ApiError):
    """What there is does not allow it: the session is at another seq, does not have the seq yet,
    cannot be folded, or another rebuild is not done. Nothing was written."""

    @property
    def expected_seq(self) -> int | None:
        """The seq that the request expected the session to be at."""
        return self._number("expected")

    @property
    def actual_seq(self) -> int | None:
        """The seq that the session is at."""
        actual = self._number("actual")
        return self._number("head") if actual is None else actual

    def _number(self, name: str) -> int | None:
        value: object = self.members.get(name)
        return value if isinstance(value, int) else None


class SessionExists(Conflict):
    """The session id is taken."""


class NotModified(ApiError):
    """The answer would be the one that the caller has."""


class Unavailable(ApiError):
    """There was no answer, or one that says to come again, until the time of the call was over.
    A write may or may not have been done: repeat the call with `idempotency_key` of this error, and
    it is never done twice."""

    retry_after_s: float | None = None
    """How long the API asked to wait; None when it did not."""


class ServerFailed(ApiError):
    """The API failed, or what answered is not the API of Turnlog."""


class Misconfigured(TurnlogError):
    """An address or a setting of the client that cannot work."""


_BY_CODE: dict[str, type[ApiError]] = {"key-reused": KeyReused, "session-exists": SessionExists}
_BY_STATUS: dict[int, type[ApiError]] = {
    304: NotModified,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: NotFound,
    412: Conflict,
}
PASSING = frozenset({408, 425, 429, 502, 503, 504})
"""The identical request may succeed a little later."""


def from_answer(request: str, status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
    """The error that an answer stands for. Only problem documents are quoted: what a proxy answers
    may hold anything."""
    problem = _document(headers.get("content-type", ""), body)
    found = _CODE.fullmatch(_text(problem.get("type")))
    code = found[1] if found else ""
    kind = _BY_CODE.get(code) or _BY_STATUS.get(status) or _by_class(status)
    detail = _text(problem.get("detail")) or _text(problem.get("title"))
    if status == 304:
        detail = "what you have still holds"
    known = {"type", "title", "status", "detail", "request_id", "errors"}
    return kind(
        detail or "the answer does not say why: it does not come from the API of Turnlog",
        request=request,
        status=status,
        code=code,
        request_id=_text(problem.get("request_id")) or headers.get("x-request-id"),
        faults=_faults(problem.get("errors")),
        members={name: value for name, value in problem.items() if name not in known},
    )


def _by_class(status: int) -> type[ApiError]:
    if status in PASSING:
        return Unavailable
    return InvalidRequest if 400 <= status < 500 else ServerFailed


def _document(media_type: str, body: bytes) -> dict[str, Any]:
    if media_type.partition(";")[0].strip().lower() != "application/problem+json":
        return {}
    try:
        document: object = from_json(body)
    except ValueError:
        return {}
    return cast(dict[str, Any], document) if isinstance(document, dict) else {}


def _faults(listed: object) -> tuple[Fault, ...]:
    if not isinstance(listed, list):
        return ()
    faults: list[Fault] = []
    for item in cast(list[object], listed):
        if isinstance(item, dict):
            fault = cast(dict[str, Any], item)
            faults.append(
                Fault(*(_text(fault.get(name)) for name in ("detail", "pointer", "parameter")))
            )
    return tuple(faults)


def _text(value: object) -> str:
    """One line of it."""
    return " ".join(value.split())[:_LONGEST] if isinstance(value, str) else ""
