"""What is too large or no HTTP is refused with a clear answer, by the server as it is run; and
which pages of other origins may ask."""

import asyncio
import json
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import httpx
import pytest
import uvicorn
from served import problem
from servers import wait_until_async

from turnlog_api import protocol
from turnlog_api.gate import BODY_MARGIN
from turnlog_api.main import server_config
from turnlog_api.protocol import MAX_HEADER_BYTES, MAX_URL_BYTES
from turnlog_api.settings import ApiSettings
from turnlog_projector.settings import load

SERVERS = {"redis_url": "redis://127.0.0.1:1", "postgres_url": "postgresql://127.0.0.1:1/none"}


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def kind(self) -> str:
        assert self.headers["content-type"] == "application/problem+json", self
        document = json.loads(self.body)
        assert document["status"] == self.status
        return document["type"].removeprefix("urn:turnlog:problem:")


@asynccontextmanager
async def running(**settings: Any) -> AsyncGenerator[int]:
    """The port of a server without Redis and Postgres."""
    server = uvicorn.Server(server_config(load(ApiSettings, **SERVERS, **settings)))
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        task = asyncio.create_task(server.serve(sockets=[listening]))

        async def started() -> bool:
            return server.started

        await wait_until_async(started, "the server has started")
        yield listening.getsockname()[1]
        server.should_exit = True
        await task


async def exchange(port: int, *pieces: bytes) -> Answer:
    """Send bytes as they are, piece by piece; the answer. The server may close at any time."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
    try:
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0)
        async with asyncio.timeout(20):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.strip().split("\r\n")
            headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}
            body = await reader.readexactly(int(headers["content-length"]))
        return Answer(int(first.split()[1]), headers, body)
    finally:
        writer.transport.abort()


def get(target: str = "/healthz", *headers: str) -> bytes:
    return "\r\n".join([f"GET {target} HTTP/1.1", "Host: 127.0.0.1", *headers, "", ""]).encode()


async def test_headers_within_the_bounds_are_read() -> None:
    async with running() as port:
        assert (await exchange(port, get())).status == 200
        large = "X-Large: " + "x" * (MAX_HEADER_BYTES - 200)
        assert (await exchange(port, get("/healthz", large))).status == 200
        many = [f"X-{number}: y" for number in range(1000)]
        assert (await exchange(port, get("/healthz", *many))).status == 200
        whole = get("/healthz", "X-A: b")
        assert (await exchange(port, *(whole[i : i + 1] for i in range(len(whole))))).status == 200


@pytest.mark.parametrize(
    "request_",
    [
        [get("/healthz", "X-Large: " + "x" * MAX_HEADER_BYTES)],
        [get("/healthz", *[f"X-{number}: {'y' * 90}" for number in range(400)])],
        [b"GET /healthz HTTP/1.1\r\nX-Endless: ", *[b"x" * 8192] * 8],
        [b"GET /healthz HTTP/1.1\r\n", *[b"X-Endless: y\r\n" * 1000] * 8],
    ],
)
async def test_large_headers_are_refused_while_they_come(request_: list[bytes]) -> None:
    async with running() as port:
        answer = await exchange(port, *request_)
        assert (answer.status, answer.kind) == (431, "headers-too-large")
        assert answer.headers["connection"] == "close"
        assert json.loads(answer.body)["limit"] == MAX_HEADER_BYTES


async def test_a_second_request_of_a_connection_has_its_own_bounds() -> None:
    half = "X-Large: " + "x" * (MAX_HEADER_BYTES // 2)
    async with running() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(4):
            writer.write(get("/healthz", half))
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            await reader.readexactly(len(b'{"status":"ok"}'))
        writer.write(get("/healthz", half, half))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 431")
        writer.close()


async def test_a_long_address_is_refused() -> None:
    async with running() as port:
        answer = await exchange(port, get("/v1/sessions?cursor=" + "x" * MAX_URL_BYTES))
        assert (answer.status, answer.kind) == (414, "uri-too-long")
        answer = await exchange(port, get("/v1/sessions?cursor=" + "x" * (MAX_URL_BYTES - 100)))
        assert (answer.status, answer.kind) == (400, "bad-cursor")


@pytest.mark.parametrize(
    "bytes_",
    [
        b"HELLO\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nBad\x00Name: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1, 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_told_so(bytes_: bytes) -> None:
    async with running() as port:
        answer = await exchange(port, bytes_)
        assert (answer.status, answer.kind) == (400, "bad-request")


async def test_a_connection_whose_headers_do_not_come_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(protocol, "HEADERS_WITHIN_S", 0.2)
    async with running() as port:
        for begun in (b"", b"GET /healthz HTTP/1.1\r\n", get() + b"GET /"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(begun)
            async with asyncio.timeout(10):
                await reader.read(-1)
            writer.close()


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_large_body_is_refused_before_it_has_come(chunked: bool) -> None:
    async with running(max_event_bytes=1024) as port:
        limit = 1024 + BODY_MARGIN
        length = "Transfer-Encoding: chunked" if chunked else "Content-Length: 100000000"
        head = f"POST /v1/sessions HTTP/1.1\r\nHost: 127.0.0.1\r\n{length}\r\n"
        head += "Content-Type: application/json\r\n\r\n"
        piece = b"1000\r\n" + b" " * 0x1000 + b"\r\n" if chunked else b""
        answer = await exchange(port, head.encode(), *[piece] * (limit // 0x1000 + 2))
        assert (answer.status, answer.kind) == (413, "too-large")
        assert json.loads(answer.body)["limit"] == limit


async def test_pages_are_bounded() -> None:
    async with running() as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as api:
        for path in ("/v1/sessions", "/v1/sessions/s/turns", "/v1/projects"):
            for limit in ("0", "1001", "-1", "x", "1e3", "99999999999999999999"):
                found = problem(await api.get(path, params={"limit": limit}), 422, "invalid")
                assert found["errors"][0]["parameter"] == "limit"
        many = "&".join(f"p{number}=1" for number in range(60))
        problem(await api.get(f"/v1/sessions?{many}"), 400, "bad-request")


async def test_an_upgrade_is_answered_as_a_plain_request() -> None:
    async with running() as port:
        upgrade = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
        answer = await exchange(port, get("/healthz", *upgrade, "Sec-WebSocket-Key: x"))
        assert answer.status == 200


# Pages of other origins

ORIGIN = "https://chat.example"
ASKED = {"Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "if-match"}


async def test_only_the_origins_that_are_set_may_ask() -> None:
    async with (
        running(cors_origins=f"{ORIGIN}, https://b.example") as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as api,
    ):
        allowed = await api.options("/v1/sessions/s", headers={"Origin": ORIGIN, **ASKED})
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == ORIGIN
        assert "PATCH" in allowed.headers["access-control-allow-methods"]
        plain = await api.get("/healthz", headers={"Origin": ORIGIN})
        assert plain.headers["access-control-allow-origin"] == ORIGIN
        assert "Turnlog-Seq" in plain.headers["access-control-expose-headers"]
        for other in (
            "https://evil.example",
            "null",
            f"{ORIGIN}.evil.example",
            "http://chat.example",
        ):
            refused = await api.options("/v1/sessions/s", headers={"Origin": other, **ASKED})
            assert refused.status_code == 400
            asked = await api.get("/healthz", headers={"Origin": other})
            for answer in (refused, asked):
                assert "access-control-allow-origin" not in answer.headers
                assert "access-control-allow-credentials" not in answer.headers


async def test_errors_can_be_read_by_pages_too() -> None:
    secret = "a secret of at least thirty-two bytes"
    async with (
        running(cors_origins=ORIGIN, auth="jwt", jwt_secret=secret) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as api,
    ):
        refused = await api.get("/v1/sessions", headers={"Origin": ORIGIN})
        problem(refused, 401, "unauthenticated")
        assert refused.headers["access-control-allow-origin"] == ORIGIN


async def test_without_the_setting_no_page_may_ask() -> None:
    async with running() as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as api:
        answer = await api.get("/healthz", headers={"Origin": ORIGIN})
        problem(answer, 403, "forbidden")
        assert "access-control-allow-origin" not in answer.headers
