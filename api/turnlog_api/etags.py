"""ETags: an answer that a client has already is not sent again (304).

A tag is made from the bytes of the answer. So it says nothing of a generation, and no change to
what is shown can be overlooked, whatever caused it: events, a skip, an erasure, a new release.
"""

import zlib
from functools import lru_cache
from hashlib import sha256

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_CACHE_CONTROL = (b"cache-control", b"private, no-cache")
"""Only the caller may keep an answer, and asks each time whether it still holds."""
_OF_A_BODY = frozenset({b"content-type", b"content-length", b"content-encoding"})


def session_tag(body: bytes, seq: int) -> str:
    """The tag of an answer about one session after event `seq`. What differs at the same seq is
    rare; that it then has the same check sum, too, is not to be feared."""
    return f'W/"{seq}.{len(body):x}.{zlib.crc32(body):x}"'


def body_tag(body: bytes) -> bytes:
    """The tag of any other answer."""
    return b'W/"%s"' % sha256(body).hexdigest()[:32].encode()


class Conditional:
    """Gives whole JSON answers to GET a tag, and answers 304 to a client that names it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        start: Message | None = None

        async def tagged(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and _is_taggable(message):
                start = message
                return
            if start is not None:
                begun, start = start, None
                if not message.get("more_body"):
                    known = _known_by_client(scope)
                    message = _answer(begun, message, known)
                await send(begun)
            await send(message)

        await self._app(scope, receive, tagged)


def _is_taggable(start: Message) -> bool:
    return start["status"] == 200 and (b"content-type", b"application/json") in start["headers"]


def _answer(start: Message, message: Message, known: bytes) -> Message:
    """Complete the start of an answer; the body that goes with it."""
    headers: list[tuple[bytes, bytes]] = start["headers"]
    tag = next((value for name, value in headers if name == b"etag"), None)
    if tag is None:
        tag = body_tag(message.get("body", b""))
        headers = [*headers, (b"etag", tag)]
    headers = [*headers, _CACHE_CONTROL]
    if known and _is_among(tag, known):
        start["status"] = 304
        headers = [header for header in headers if header[0] not in _OF_A_BODY]
        message = {"type": "http.response.body", "body": b""}
    start["headers"] = headers
    return message


def _known_by_client(scope: Scope) -> bytes:
    values = [value for name, value in scope["headers"] if name == b"if-none-match"]
    return b",".join(values) if values else b""


@lru_cache(maxsize=256)
def _tags(known: bytes) -> frozenset[bytes]:
    return frozenset(tag.strip().removeprefix(b"W/") for tag in known.split(b","))


def _is_among(tag: bytes, known: bytes) -> bool:
    tags = _tags(known)
    return tag.removeprefix(b"W/") in tags or b"*" in tags
