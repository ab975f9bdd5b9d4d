"""Exports and statistics, by both clients; downloads that break off."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from client_bench import Bench, Kind, answering, listed, settled
from servers import wait_until_async

from turnlog_client import Conflict, NotFound, Unavailable

pytestmark = pytest.mark.integration
WHOLE = bytes(range(256)) * 4000


def names(folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir()]


async def test_a_session_is_exported(bench: Bench, tmp_path: Path) -> None:
    client = bench.client
    await bench.say("s", "one", "two")
    lines = await settled(client.export_session("s", "jsonl").read())
    assert [json.loads(line)["seq"] for line in lines.splitlines()] == [1, 2]
    path = tmp_path / "chat.csv"
    size = await settled(client.export_session("s", "csv", delimiter="tab", min_seq=2).save(path))
    assert size == path.stat().st_size
    rows = list(csv.reader(path.read_text("utf-8-sig").splitlines(), delimiter="\t"))
    assert len(rows) == 3
    with pytest.raises(NotFound):
        await settled(client.export_session("none", "md").save(tmp_path / "none.md"))
    assert names(tmp_path) == ["chat.csv"]


async def test_many_sessions_are_exported(bench: Bench, tmp_path: Path) -> None:
    client = bench.client
    for name in ("s", "t"):
        await bench.say(name, "Hello")
    asked = await settled(client.start_export("json", session_ids=["s", "t"], idempotency_key="k"))
    again = await settled(client.start_export("json", session_ids=["s", "t"], idempotency_key="k"))
    assert again["export_id"] == asked["export_id"]

    async def done() -> bool:
        return (await settled(client.export(asked["export_id"])))["state"] == "done"

    await wait_until_async(done, "the export is done")
    path = tmp_path / "chats.json"
    size = await settled(client.export_file(asked["export_id"]).save(path))
    assert size == (await settled(client.export(asked["export_id"])))["bytes"]
    assert json.loads(path.read_text())
    [shown] = await listed(client.exports(page_size=1))
    assert shown["export_id"] == asked["export_id"]
    assert await settled(client.remove_export(asked["export_id"])) is None
    with pytest.raises(NotFound):
        await settled(client.export_file(asked["export_id"]).read())
    with pytest.raises(NotFound):
        await settled(client.remove_export(asked["export_id"]))


async def test_statistics(bench: Bench) -> None:
    client = bench.client
    await bench.say("s", "one", "two")
    answer = await settled(client.answers.stats(tz="Europe/Berlin", session_id="s"))
    assert answer.value["total"]["turns"] == 2
    assert answer.value["tz"] == "Europe/Berlin"
    assert answer.freshness.lag == 0
    await settled(client.append_turn("s", "user", "three"))
    assert (await settled(client.answers.stats())).freshness.lag == 1


async def test_a_removal_whose_reply_was_lost_is_done(kind: Kind) -> None:
    answers = [httpx.Response(503), httpx.Response(404)]
    client = answering(kind, lambda _: answers.pop(0))
    assert await settled(client.remove_export("e")) is None
    await settled(client.close())


class Breaking(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that breaks off."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __iter__(self):  # type: ignore[no-untyped-def]
        yield self._data
        raise httpx.ReadError("connection lost")

    async def __aiter__(self):  # type: ignore[no-untyped-def]
        yield self._data
        raise httpx.ReadError("connection lost")


def serving(pieces: list[int], tags: list[str]) -> Callable[[httpx.Request], httpx.Response]:
    """Answers with so many bytes at a time of a file, in the end with all that is left."""

    def answer(request: httpx.Request) -> httpx.Response:
        tag = tags.pop(0) if len(tags) > 1 else tags[0]
        assert request.headers["accept-encoding"] == "identity"
        headers, start, status = {"ETag": tag}, 0, 200
        if request.headers.get("if-range") == tag:
            start, status = int(request.headers["range"][6:-1]), 206
        if not pieces:
            return httpx.Response(status, headers=headers, content=WHOLE[start:])
        piece = Breaking(WHOLE[start : start + pieces.pop(0)])
        return httpx.Response(status, headers=headers, stream=piece)

    return answer


async def test_a_download_goes_on_where_it_broke_off(kind: Kind, tmp_path: Path) -> None:
    client = answering(kind, serving([300_000, 0, 0, 500_000, 1], ['"a"']))
    path = tmp_path / "file"
    assert await settled(client.export_file("e").save(path)) == len(WHOLE)
    assert path.read_bytes() == WHOLE
    await settled(client.close())


@pytest.mark.parametrize(
    ("pieces", "tags"),
    [([300_000], ['"a"', '"b"']), ([300_000, 0, 0, 0, 0, 0], ['"a"'])],
    ids=["another file", "no progress"],
)
async def test_a_download_that_cannot_go_on_leaves_no_file(
    kind: Kind, tmp_path: Path, pieces: list[int], tags: list[str]
) -> None:
    client = answering(kind, serving(list(pieces), list(tags)))
    with pytest.raises(Unavailable, match="begin again"):
        await settled(client.export_file("e").save(tmp_path / "file"))
    assert names(tmp_path) == []
    await settled(client.close())


async def test_a_session_that_breaks_off_is_no_file(kind: Kind, tmp_path: Path) -> None:
    client = answering(kind, lambda _: httpx.Response(200, stream=Breaking(b"x" * 10)))
    with pytest.raises(Unavailable, match="broke off"):
        await settled(client.export_session("s", "md").save(tmp_path / "chat.md"))
    assert names(tmp_path) == []
    await settled(client.close())


async def test_a_file_that_is_not_made_yet_is_told(kind: Kind) -> None:
    problem = {"type": "urn:turnlog:problem:export-not-done", "detail": "wait"}
    headers = {"Content-Type": "application/problem+json"}
    client = answering(kind, lambda _: httpx.Response(409, headers=headers, json=problem))
    with pytest.raises(Conflict) as raised:
        await settled(client.export_file("e").read())
    assert (raised.value.code, raised.value.detail) == ("export-not-done", "wait")
    await settled(client.close())
