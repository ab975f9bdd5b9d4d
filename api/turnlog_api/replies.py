"""Answers as bytes: what Postgres has made ready is not looked at again."""

from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json
from starlette.responses import Response

from turnlog_api.etags import session_tag
from turnlog_producers.core import Appended
from turnlog_producers.head import Head

JSON = "application/json"


def on_session(body: bytes, *, seq: int, head: Head | None, status: int = 200) -> Response:
    """An answer about a session: how far the read models go, and the log."""
    headers = _seqs(seq, None if head is None else head.seq)
    headers["ETag"] = session_tag(body, seq)
    return Response(body, status, headers, JSON)


def past(answer: Response, at: int) -> Response:
    """Say of an answer that it shows the session as it was after event `at`."""
    answer.headers["Turnlog-As-Of"] = str(at)
    return answer


def written(
    appended: Appended, status: int, more: Mapping[str, Any], *, seq: int | None, head: int | None
) -> Response:
    """The answer to a write."""
    body = {
        "session_id": appended.session_id,
        "seq": appended.seq,
        "event_id": appended.event_id,
        "turn_id": appended.turn_id,
        "repeat": appended.repeat,
        **more,
    }
    return Response(to_json(body), status, _seqs(seq, head), JSON)


def _seqs(seq: int | None, head: int | None) -> dict[str, str]:
    headers: dict[str, str] = {}
    if seq is not None:
        headers["Turnlog-Seq"] = str(seq)
    if head is not None:
        headers["Turnlog-Head"] = str(head)
    return headers


def page(items: bytes, next_cursor: str | None, *, total_count: int | None = None) -> bytes:
    """A list around ready items. Cursors are base64url: they need no escaping."""
    cursor = b"null" if next_cursor is None else b'"%b"' % next_cursor.encode()
    more = b"false" if next_cursor is None else b"true"
    total = b"" if total_count is None else b',"total_count":%d' % total_count
    return b'{"items":[%b],"next_cursor":%b,"has_more":%b%b}' % (items, cursor, more, total)


def json(value: Any, status: int = 200) -> Response:
    return Response(to_json(value), status, media_type=JSON)
