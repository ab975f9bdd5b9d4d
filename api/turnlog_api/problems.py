"""Errors as RFC 9457 problem documents. Each kind of problem has one code, one status, one title.

`type` is `urn:turnlog:problem:<code>`; `detail` says what to do, and never repeats what people
wrote.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic_core import to_json
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = "1"


class Kind(NamedTuple):
    """A kind of problem. `retry`: the identical request may succeed a little later."""

    status: int
    title: str
    retry: bool = False


KINDS: dict[str, Kind] = {
    "bad-request": Kind(400, "The request cannot be read"),
    "bad-cursor": Kind(400, "The cursor cannot be used"),
    "unauthenticated": Kind(401, "A valid token is needed"),
    "forbidden": Kind(403, "The token does not allow this"),
    "not-found": Kind(404, "There is nothing here"),
    "method-not-allowed": Kind(405, "This address does not take the method"),
    "session-exists": Kind(409, "The session id is taken"),
    "behind-head": Kind(409, "The session has no such seq yet"),
    "parked": Kind(409, "An event of the session cannot be folded"),
    "rebuild-under-way": Kind(409, "Another rebuild is not done"),
    "export-not-done": Kind(409, "The export has no file"),
    "export-expired": Kind(410, "The file is gone"),
    "precondition-failed": Kind(412, "The session is at another seq"),
    "too-large": Kind(413, "The body is too large"),
    "uri-too-long": Kind(414, "The address is too long"),
    "unsupported-media-type": Kind(415, "The body must be JSON"),
    "bad-range": Kind(416, "The file has no such range"),
    "misdirected": Kind(421, "This server does not answer for that host"),
    "invalid": Kind(422, "The request breaks the format"),
    "key-reused": Kind(422, "The Idempotency-Key was used with another body"),
    "too-many-exports": Kind(429, "Too many exports at once"),
    "headers-too-large": Kind(431, "The headers are too large"),
    "internal": Kind(500, "The server failed"),
    "redis-unavailable": Kind(503, "The log does not answer", retry=True),
    "postgres-unavailable": Kind(503, "The read models do not answer", retry=True),
    "not-ready": Kind(503, "The server is not set up", retry=True),
    "log-damaged": Kind(503, "The session is being repaired", retry=True),
    "keys-unavailable": Kind(503, "Tokens cannot be checked now", retry=True),
    "not-projected": Kind(504, "The read models did not get there in time", retry=True),
}


class Problem(Exception):
    """Ends a request with a problem document. `more` becomes members of the document."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})
        self.more = more

    @property
    def status(self) -> int:
        return KINDS[self.code].status

    def response(self, request_id: str | None = None) -> Response:
        kind = KINDS[self.code]
        document: dict[str, Any] = {
            "type": f"urn:turnlog:problem:{self.code}",
            "title": kind.title,
            "status": kind.status,
            "detail": self.detail,
            **self.more,
        }
        if request_id is not None:
            document["request_id"] = request_id
        headers = dict(self.headers)
        if kind.retry:
            headers.setdefault("Retry-After", RETRY_AFTER_S)
        if kind.status == 401:
            headers.setdefault("WWW-Authenticate", "Bearer")
        return Response(to_json(document), kind.status, headers, MEDIA_TYPE)


def no_session() -> Problem:
    """The session does not exist, or is somebody else's: the two look the same from outside."""
    return Problem("not-found", "there is no such session, or it is not yours to see")
