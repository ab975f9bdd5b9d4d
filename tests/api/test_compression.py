"""Compressed answers: the same bytes, for those who ask for them, and never for event streams."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
import zstandard
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from turnlog_api.compression import MIN_BYTES, Compression

DECODE: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "zstd": lambda raw: zstandard.ZstdDecompressor().decompressobj().decompress(raw),
}
LARGE = {"items": [f"item {number}" for number in range(40_000)]}


async def sized(request: Request) -> Response:
    size = int(request.path_params["size"])
    return Response(b"a" * size, media_type=request.query_params.get("type", "application/json"))


async def large(_: Request) -> Response:
    return JSONResponse(LARGE)


async def lines(request: Request) -> Response:
    async def rows() -> AsyncIterator[bytes]:
        for number in range(1000):
            yield b'{"row": %d}\n' % number

    return StreamingResponse(rows(), media_type=request.query_params["type"])


async def encoded(_: Request) -> Response:
    return Response(
        gzip.compress(b"a" * 5000), headers={"Content-Encoding": "gzip"}, media_type="text/plain"
    )


@pytest.fixture
async def app() -> AsyncIterator[httpx.AsyncClient]:
    routes = [
        Route("/sized/{size}", sized),
        Route("/large", large),
        Route("/lines", lines),
        Route("/encoded", encoded),
    ]
    made = Compression(Starlette(routes=routes))
    transport = httpx.ASGITransport(made)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


async def raw(app: httpx.AsyncClient, url: str, accept: str) -> tuple[httpx.Headers, bytes]:
    """Headers and the bytes as they were sent."""
    request = app.build_request("GET", url, headers={"Accept-Encoding": accept})
    answer = await app.send(request, stream=True)
    body = b"".join([piece async for piece in answer.aiter_raw()])
    await answer.aclose()
    assert answer.status_code == 200
    return answer.headers, body


@pytest.mark.parametrize(
    ("accept", "coding"),
    [
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip", "gzip"),
        ("GZIP;q=0.5", "gzip"),
        ("zstd;q=0, gzip;q=0.1", "gzip"),
        ("gzip;q=0", None),
        ("br", None),
        ("identity", None),
        ("", None),
        (",;q=,gzip", "gzip"),
    ],
)
async def test_the_client_chooses(app: httpx.AsyncClient, accept: str, coding: str | None) -> None:
    for url, expected in (("/large", json.dumps(LARGE, separators=(",", ":")).encode()),):
        headers, body = await raw(app, url, accept)
        assert headers.get("content-encoding") == coding
        assert int(headers["content-length"]) == len(body)
        if coding is None:
            assert body == expected
        else:
            assert headers["vary"] == "Accept-Encoding"
            assert len(body) < len(expected) / 3
            assert DECODE[coding](body) == expected


async def test_small_answers_stay_as_they_are(app: httpx.AsyncClient) -> None:
    for size, coding in ((0, None), (MIN_BYTES - 1, None), (MIN_BYTES, "zstd")):
        headers, _ = await raw(app, f"/sized/{size}", "gzip, zstd")
        assert headers.get("content-encoding") == coding


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
async def test_a_stream_of_rows_is_compressed_as_it_comes(
    app: httpx.AsyncClient, coding: str
) -> None:
    headers, body = await raw(app, "/lines?type=application/jsonl", coding)
    assert headers["content-encoding"] == coding
    rows = DECODE[coding](body).splitlines()
    assert [json.loads(row)["row"] for row in rows] == list(range(1000))


async def test_events_are_never_compressed(app: httpx.AsyncClient) -> None:
    headers, body = await raw(app, "/lines?type=text/event-stream", "gzip, zstd")
    assert "content-encoding" not in headers
    assert body.count(b"\n") == 1000


@pytest.mark.parametrize("kind", ["image/png", "application/octet-stream", "application/zip"])
async def test_other_types_are_left_alone(app: httpx.AsyncClient, kind: str) -> None:
    headers, _ = await raw(app, f"/sized/5000?type={kind}", "gzip, zstd")
    assert "content-encoding" not in headers


async def test_what_is_compressed_is_not_compressed_again(app: httpx.AsyncClient) -> None:
    headers, body = await raw(app, "/encoded", "zstd, gzip")
    assert headers["content-encoding"] == "gzip"
    assert gzip.decompress(body) == b"a" * 5000


async def test_each_event_arrives_when_it_is_sent() -> None:
    """Nothing waits in a buffer."""
    sent: list[dict[str, Any]] = []
    seen = asyncio.Event()

    async def events(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
        assert seen.is_set()
        await send({"type": "http.response.body", "body": b""})

    async def send(message: Any) -> None:
        sent.append(message)
        if message.get("body"):
            seen.set()

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    scope = {"type": "http", "method": "GET", "headers": [(b"accept-encoding", b"gzip, zstd")]}
    await Compression(events)(scope, receive, send)
    assert [message.get("body") for message in sent] == [None, b"data: 1\n\n", b""]
