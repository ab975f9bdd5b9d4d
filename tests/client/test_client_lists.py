"""Lists, by both clients: whole, page by page, no sooner than needed, while writers write."""

import threading
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from client_bench import Bench, Kind, answering, listed, settled
from searched import index_all

from turnlog_client import Client, InvalidRequest, NotModified, ServerFailed

pytestmark = pytest.mark.integration


async def test_turns_come_page_by_page(bench: Bench) -> None:
    client = bench.client
    await bench.say("s", *(str(number) for number in range(7)))
    turns = client.turns("s", page_size=3)
    assert [turn["content"] for turn in await listed(turns)] == list("0123456")
    # Each iteration begins anew.
    assert len(await listed(turns)) == 7
    pages = await listed(turns.pages())
    assert [len(page.items) for page in pages] == [3, 3, 1]
    assert {page.total_count for page in pages} == {7}
    assert pages[-1].next_cursor is None
    assert pages[0].freshness.lag == 0
    second = await settled(turns.page(pages[0].next_cursor))
    assert second.items == pages[1].items
    assert [len(page.items) for page in await listed(turns.pages(pages[0].next_cursor))] == [3, 1]
    with pytest.raises(NotModified):
        await settled(turns.page(etag=pages[0].etag))
    newest = await listed(client.turns("s", order="desc", after=2, before=6))
    assert [turn["seq"] for turn in newest] == [5, 4, 3]
    past = await listed(client.turns("s", as_of=4, page_size=3).pages())
    assert [page.as_of for page in past] == [4, 4]


async def test_a_list_can_be_strong_or_wait(bench: Bench) -> None:
    client = bench.client
    await bench.say("s", "one")
    for number in range(4):
        await settled(client.append_turn("s", "user", str(number)))
    assert len(await listed(client.turns("s"))) == 1
    pages = await listed(client.turns("s", strong=True, page_size=2).pages())
    assert [len(page.items) for page in pages] == [2, 2, 1]
    assert (pages[0].freshness.seq, pages[0].freshness.lag) == (5, 0)
    assert len(await listed(client.events("s"))) == 5
    bench.stage.project()
    assert len(await listed(client.turns("s", min_seq=5, page_size=2))) == 5


async def test_sessions_are_filtered(bench: Bench) -> None:
    client = bench.client
    for number in range(5):
        await settled(
            client.create_session(f"s{number}", user_id=f"u{number % 2}", project=f"p{number % 3}")
        )
    await settled(client.archive_session("s4"))
    bench.stage.project()

    async def found(**filters: Any) -> set[str]:
        return {item["session_id"] for item in await listed(client.sessions(**filters))}

    assert await found(page_size=2) == {"s0", "s1", "s2", "s3", "s4"}
    assert await found(user_id="u1") == {"s1", "s3"}
    assert await found(project="p0") == {"s0", "s3"}
    assert await found(archived=True) == {"s4"}
    assert await found(archived=False, user_id="u0", page_size=1) == {"s0", "s2"}
    before = datetime(2020, 1, 1, tzinfo=UTC)
    assert await found(until=before) == set()
    assert len(await found(since=before, page_size=2)) == 5
    projects = await listed(client.projects(page_size=2))
    assert [(item["project"], item["session_count"]) for item in projects] == [
        *(("p0", 2), ("p1", 2), ("p2", 1))
    ]
    assert len(await listed(client.projects(user_id="u1", archived=False))) == 2


async def test_events_are_filtered(bench: Bench) -> None:
    client = bench.client
    await bench.say("s", "one", "two")
    await settled(client.rename_session("s", "x"))
    assert [event["seq"] for event in await listed(client.events("s", page_size=1))] == [1, 2, 3]
    [renamed] = await listed(client.events("s", type="session.updated"))
    assert renamed["data"]["title"] == "x"
    back = await listed(client.events("s", order="desc", before=3))
    assert [event["seq"] for event in back] == [2, 1]


async def test_search_finds(bench: Bench) -> None:
    client = bench.client
    for name in ("s", "t"):
        await settled(client.create_session(name, user_id=name, project=name))
        await bench.say(name, "revenue by region", "the weather")
    index_all(bench.stage.connection)
    items = await listed(client.search("revenue", page_size=1))
    assert {item["session_id"] for item in items} == {"s", "t"}
    page = await settled(client.search("revenue", session_id="s", role="user").page())
    assert [part["text"] for part in page.items[0]["snippet"] if part["hit"]] == ["revenue"]
    assert page.complete
    assert page.search_lag == {"events": 0, "sessions": 0, "seconds": 0.0}
    assert len(await listed(client.search("weather", user_id="t", sort="newest"))) == 1
    later = {"since": datetime(2100, 1, 1, tzinfo=UTC), "include_tool_results": True}
    assert await listed(client.search("weather", project="t", **later)) == []
    with pytest.raises(InvalidRequest):
        await listed(client.search("\ud800"))


async def test_a_page_is_not_fetched_before_it_is_needed(kind: Kind) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        number = len(asked)
        following = f"c{number}" if number < 3 else None
        items = [{"turn_id": f"{number}{letter}"} for letter in "ab"]
        return httpx.Response(200, json={"items": items, "next_cursor": following})

    client = answering(kind, answer)
    turns = client.turns("s", order="desc", strong=True, page_size=2)
    assert asked == []
    seen: list[str] = []
    if kind == "sync":
        for turn in turns:
            seen.append(turn["turn_id"])
            assert len(asked) == (len(seen) + 1) // 2
    else:
        async for turn in turns:
            seen.append(turn["turn_id"])
            assert len(asked) == (len(seen) + 1) // 2
    assert seen == ["1a", "1b", "2a", "2b", "3a", "3b"]
    # A cursor stands for the filters, not for how new the page must be.
    assert [url.partition("?")[2] for url in asked[:2]] == [
        "order=desc&limit=2&consistency=strong",
        "limit=2&consistency=strong&cursor=c1",
    ]
    await settled(client.close())


async def test_an_empty_page_need_not_be_the_last(kind: Kind) -> None:
    pages = [([], "c1"), ([], "c2"), ([{"seq": 9}], None)]

    def answer(request: httpx.Request) -> httpx.Response:
        items, following = pages.pop(0)
        return httpx.Response(200, json={"items": items, "next_cursor": following})

    client = answering(kind, answer)
    assert await listed(client.events("s", type="x")) == [{"seq": 9}]
    await settled(client.close())


async def test_what_is_no_page_is_told(kind: Kind) -> None:
    for body in ({}, {"items": 5, "next_cursor": None}, {"items": [], "next_cursor": 5}):
        client = answering(kind, lambda _, body=body: httpx.Response(200, json=body))
        with pytest.raises(ServerFailed, match="check the address"):
            await listed(client.sessions())
        await settled(client.close())


async def test_a_list_is_whole_while_writers_write(bench: Bench, url: str) -> None:
    for number in range(30):
        await settled(bench.client.create_session(f"still{number:02}"))
        await settled(bench.client.append_turn("s", "user", str(number)))
    bench.stage.project()
    stop = threading.Event()

    def write() -> None:
        with Client(url) as writer:
            number = 30
            while not stop.is_set():
                writer.append_turn("s", "user", str(number))
                writer.create_session()
                bench.stage.project()
                number += 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(3):
            turns = await listed(bench.client.turns("s", page_size=4))
            contents = [turn["content"] for turn in turns]
            assert contents == [str(number) for number in range(len(contents))]
            assert len(contents) >= 30
            ids = [item["session_id"] for item in await listed(bench.client.sessions(page_size=7))]
            assert len(ids) == len(set(ids))
            assert {f"still{number:02}" for number in range(30)} <= set(ids)
    finally:
        stop.set()
        thread.join()
