"""What every request passes: id, host, caller, size. Pure ASGI; the innermost thing that answers a
request that failed in a way nobody foresaw."""

import logging
import os
import re
import time
import traceback
from typing import Any
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from turnlog_api.auth import Authenticator
from turnlog_api.faults import as_problem
from turnlog_api.metrics import ApiMetrics
from turnlog_api.problems import Problem
from turnlog_api.settings import ApiSettings, is_loopback

BODY_MARGIN = 64 * 1024
"""A body may be this much larger than the largest event: it names things an event does not."""

_OPEN = frozenset({"/", "/healthz", "/readyz", "/openapi.json", "/docs"})
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._~-]{1,64}")

logger = logging.getLogger(__name__)
access = logging.getLogger("turnlog_api.access")


class Gate:
    """Sets `scope["caller"]` (see auth.py) and `scope["request_id"]`; answers with `X-Request-Id`.

    Every address but a few open ones needs a caller: a new route cannot forget to ask.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: ApiSettings,
        authenticate: Authenticator,
        metrics: ApiMetrics,
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._settings = settings
        self._authenticate = authenticate
        self._limit = settings.max_event_bytes + BODY_MARGIN
        self._own_hosts = {"localhost", settings.host.strip("[]")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"")
        request_id = given if _REQUEST_ID.fullmatch(given) else os.urandom(12).hex().encode()
        scope["request_id"] = request_id.decode()
        began = time.perf_counter()
        status = 0
        self._metrics.in_progress.inc()

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._metrics.count(scope, status, time.perf_counter() - began)
                message["headers"] = [*message["headers"], (b"x-request-id", request_id)]
            await send(message)

        try:
            if self._settings.auth == "off":
                self._check_host(headers)
            if scope["path"] not in _OPEN:
                scope["caller"] = await self._authenticate(headers)
            await self._app(scope, self._limited(headers, receive), answer)
        except Exception as error:  # the last resort: the caller gets a document, the log the place
            problem = as_problem(error)
            if problem is None:
                logger.error("request %s failed: %s", scope["request_id"], _place(error))
                problem = Problem("internal", "the server failed; its log names the request id")
            if not status:
                await problem.response(scope["request_id"])(scope, receive, answer)
        finally:
            self._metrics.in_progress.dec()
            if self._settings.access_log:
                self._log(scope, status, began)

    def _log(self, scope: Scope, status: int, began: float) -> None:
        milliseconds = (time.perf_counter() - began) * 1000
        path = scope.get("raw_path", b"").split(b"?")[0].decode("latin-1")
        access.info(
            "%s %s %d %.1f ms request %s",
            *(scope["method"], path, status, milliseconds, scope["request_id"]),
        )

    def _check_host(self, headers: dict[bytes, bytes]) -> None:
        """Without auth, a page in a browser of this machine must not act as its user: neither under
        a name that someone has pointed here, nor from another origin."""
        host = headers.get(b"host", b"").decode("latin-1")
        if not self._is_own(host):
            raise Problem("misdirected", "with auth off only loopback addresses are answered for")
        origin = headers.get(b"origin")
        if origin is not None:
            text = origin.decode("latin-1")
            if text not in self._settings.origins and not self._is_own(urlsplit(text).netloc):
                raise Problem("forbidden", "with auth off pages of other origins are refused")

    def _is_own(self, host: str) -> bool:
        name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
        return name.strip("[]") in self._own_hosts or is_loopback(name)

    def _limited(self, headers: dict[bytes, bytes], receive: Receive) -> Receive:
        limit = self._limit
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > limit:
            raise self._too_large()
        received = 0

        async def counted() -> Message:
            nonlocal received
            message: Any = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise self._too_large()
            return message

        return counted

    def _too_large(self) -> Problem:
        return Problem("too-large", f"allowed are {self._limit} bytes", limit=self._limit)


def _place(error: Exception) -> str:
    """Type and place of an error, without its text: that may repeat what people wrote."""
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    where = " <- ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(frames))
    return f"{type(error).__name__} at {where}"
