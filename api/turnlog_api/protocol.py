"""HTTP as uvicorn speaks it, with bounds on what comes before a body.

uvicorn's parser keeps a request line and headers of any size, for as long as they take to come;
what it cannot read it answers in plain text.
"""

import asyncio
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from turnlog_api.problems import Problem

MAX_URL_BYTES = 16 * 1024
MAX_HEADER_BYTES = 32 * 1024
"""The request line and all headers, together."""
HEADERS_WITHIN_S = 20.0
"""A client that has begun a request, or a connection, sends its headers within this time."""
_LINGER_S = 2.0


class BoundedProtocol(HttpToolsProtocol):
    """Answers 414 and 431 for what is too large, 400 for what is no HTTP, as problem documents, and
    closes the connection; it closes one whose headers do not come."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._waiting_bytes = 0
        """Received since the headers of a request began, while they go on."""
        self._in_headers = True
        self._patience: asyncio.TimerHandle | None = None
        self._refusal: Problem | None = None
        self._refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._headers_have_come()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return  # the client sends on what nobody wants any more
        super().data_received(data)
        if self._in_headers and not self._refused:
            self._waiting_bytes += len(data)
            if self._waiting_bytes > MAX_HEADER_BYTES:
                self._refuse(self._too_large())
                self.send_400_response("")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_headers = True
        self._waiting_bytes = 0
        self._wait_for_headers()

    def on_headers_complete(self) -> None:
        self._headers_have_come()
        if len(self.url) > MAX_URL_BYTES:
            raise self._refuse(
                Problem("uri-too-long", f"allowed are {MAX_URL_BYTES} bytes", limit=MAX_URL_BYTES)
            )
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > MAX_HEADER_BYTES:
            raise self._refuse(self._too_large())
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's own words
        """What uvicorn calls for a request that it cannot read, or that was refused here."""
        problem = self._refusal or Problem("bad-request", "the bytes are no HTTP request")
        answer = problem.response()
        head = [f"HTTP/1.1 {answer.status_code} {HTTPStatus(answer.status_code).phrase}".encode()]
        head += [name + b": " + value for name, value in answer.raw_headers]
        head += [b"connection: close", b"", b""]
        self.transport.write(b"\r\n".join(head) + bytes(answer.body))
        self._headers_have_come()
        self._refused = True
        # Closing while bytes come in would take the answer away from the client.
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self._patience = self.loop.call_later(_LINGER_S, self._give_up)
        else:
            self.transport.close()

    def _refuse(self, problem: Problem) -> Problem:
        self._refusal = problem
        return problem

    def _too_large(self) -> Problem:
        return Problem(
            "headers-too-large",
            f"allowed are {MAX_HEADER_BYTES} bytes, the request line included",
            limit=MAX_HEADER_BYTES,
        )

    def _wait_for_headers(self) -> None:
        if self._patience is None:
            self._patience = self.loop.call_later(HEADERS_WITHIN_S, self._give_up)

    def _headers_have_come(self) -> None:
        self._in_headers = False
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _give_up(self) -> None:
        self._patience = None
        if not self.transport.is_closing():
            self.transport.close()
