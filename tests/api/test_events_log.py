"""`GET …/events`: the log itself, from archive and stream, without a gap."""

import itertools
from base64 import b64decode
from typing import Any

import httpx
import pytest
from appending import NewEvent, event, foreign, poison, turn
from histories import EVENTS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic_core import from_json
from served import PARTITIONS, Stage, all_pages, problem, serving
from truth import Stored, read_streams

from turnlog_api import logpage, logsteps
from turnlog_api.models import EventPage
from turnlog_producers.head import Head
from turnlog_producers.keys import Keys
from turnlog_projector.parking import retry
from turnlog_schemas import times

pytestmark = pytest.mark.integration

SLOW = settings(
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
_names = itertools.count()


def log_of(stage: Stage, session_id: str = "s") -> list[Stored]:
    name = ("default", session_id)
    return read_streams(stage.client, [name], PARTITIONS)[name]


def shown(stored: Stored) -> dict[str, Any]:
    """An event as the API shows it."""
    place = {"seq": stored.seq, "recorded_at": times.from_ms(stored.recorded_at)}
    try:
        return from_json(stored.raw) | place
    except ValueError:
        return {"event_id": stored.event_id} | place


def without_bytes(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name not in ("base64", "note")}


@settings(SLOW, max_examples=12)
@given(
    events=st.lists(
        EVENTS.filter(lambda each: b".erased" not in each.raw), min_size=1, max_size=25
    ),
    projected=st.integers(0, 25),
    limit=st.sampled_from([1, 3, 1000]),
    chunk=st.sampled_from([1, 2, 500]),
)
async def test_pages_are_the_log(
    api: httpx.AsyncClient,
    stage: Stage,
    events: list[NewEvent],
    projected: int,
    limit: int,
    chunk: int,
) -> None:
    session_id = f"s{next(_names)}"
    stage.append(session_id, events[:projected])
    stage.project()
    stage.append(session_id, events[projected:])
    expected = [shown(each) for each in log_of(stage, session_id)]
    url = f"/v1/sessions/{session_id}/events"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logsteps, "CHUNK_EVENTS", chunk)
        for order in ("asc", "desc"):
            items, _ = await all_pages(api, url, limit=limit, order=order)
            there = [without_bytes(item) for item in items]
            assert there == expected[:: 1 if order == "asc" else -1]
            some, _ = await all_pages(api, url, limit=limit, order=order, after=2, before=7)
            assert sorted(item["seq"] for item in some) == [
                each["seq"] for each in expected if 2 < each["seq"] < 7
            ]
            for type_ in ("turn.appended", "session.updated", "turn.sung"):
                found, _ = await all_pages(api, url, limit=limit, order=order, type=type_)
                wanted = [each for each in expected if each.get("type") == type_]
                assert found == wanted[:: 1 if order == "asc" else -1]


async def test_an_event_is_shown_as_it_is_stored(api: httpx.AsyncClient, stage: Stage) -> None:
    odd = b' {"event_id":"e9","type":"turn.sung","version":3,"at":"then","seq":77,"data":{}} \n'
    stage.append("s", [turn("a"), foreign("turn.sung", {"x": 1.50}), turn("b", "\0 \u2028 😀")])
    stage.append("s", [poison(), poison(b"[1]"), poison(b"{}"), NewEvent("e9", "", odd)])
    for _ in range(2):
        answer = await api.get("/v1/sessions/s/events")
        EventPage.model_validate(answer.json())
        items = answer.json()["items"]
        stored = log_of(stage)
        assert stored[1].raw[:-1] in answer.content  # byte for byte
        assert items[1]["data"] == {"x": 1.5}
        for item, raw in ((items[3], b'{"no json'), (items[4], b"[1]"), (items[5], b"{}")):
            assert b64decode(item["base64"]) == raw
            assert "no event" in item["note"]
            assert item["event_id"] == stored[item["seq"] - 1].event_id
        assert (items[6]["seq"], items[6]["version"], items[6]["at"]) == (7, 3, "then")
        stage.project()
    assert (answer.headers["turnlog-seq"], answer.headers["turnlog-head"]) == ("3", "7")
    for _ in range(3):
        retry(stage.projection, "default", "s", skip=True)
    again = await api.get("/v1/sessions/s/events")
    assert again.json() == answer.json()


async def test_of_erased_events_stubs_are_shown(api: httpx.AsyncClient, stage: Stage) -> None:
    stage.append("s", [turn("a", "my password"), turn("b")])
    stage.project()
    stage.append("s", [event("turn.erased", {"turn_id": "a"}), turn("c")])
    pages = []
    for _ in range(2):  # the erasure is on its way, then done
        pages.append((await api.get("/v1/sessions/s/events")).json()["items"])
        stage.project()
    assert pages[0] == pages[1]
    assert "password" not in str(pages)
    assert pages[0][0]["erased"] == 3
    assert pages[0][0]["data"]["turn_id"] == "a"
    stage.append("s", [event("session.erased")])
    for _ in range(2):
        problem(await api.get("/v1/sessions/s/events"), 404, "not-found")
        stage.project()


async def test_a_repeat_behind_a_trimmed_stream_is_marked(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    first = turn("a")
    stage.append("s", [first, turn("b")])
    stage.project()
    keys = Keys("default", "s", PARTITIONS)
    stage.client.delete(keys.stream, keys.ids)
    value: Any = stage.client.hget(keys.heads, keys.field)
    cold = Head.parse(value)._replace(base=2)
    stage.client.hset(keys.heads, keys.field, " ".join(str(field) for field in cold))
    assert len((await api.get("/v1/sessions/s/events")).json()["items"]) == 2
    stage.append("s", [turn("c"), first])
    for _ in range(2):
        for order in ("asc", "desc"):
            items, _ = await all_pages(api, "/v1/sessions/s/events", limit=3, order=order)
            items.sort(key=lambda item: item["seq"])
            assert [item.get("repeat_of") for item in items] == [None, None, None, 1]
        stage.project()


async def test_a_page_ends_early_rather_than_be_too_large_or_take_too_long(
    api: httpx.AsyncClient, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.append("s", [turn(f"t{number}", "x" * 100) for number in range(9)])
    stage.append("s", [event("session.cleared")])
    stage.project()
    monkeypatch.setattr(logpage, "MAX_PAGE_BYTES", 500)
    url = "/v1/sessions/s/events"
    for order in ("asc", "desc"):
        items, pages = await all_pages(api, url, limit=1000, order=order)
        assert (len(items), pages > 3) == (10, True)
    monkeypatch.setattr(logpage, "MAX_LOOKED_THROUGH", 4)
    monkeypatch.setattr(logsteps, "CHUNK_BYTES", 1)
    items, pages = await all_pages(api, url, type="session.cleared")
    assert ([item["seq"] for item in items], pages) == ([10], 3)


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=1001", "after=-1", "order=up", "type=Turn", "type=turn", "x=1"],
)
async def test_a_bad_parameter_is_refused(api: httpx.AsyncClient, stage: Stage, query: str) -> None:
    problem(await api.get(f"/v1/sessions/s/events?{query}"), 422, "invalid")


async def test_a_cursor_belongs_to_its_list(api: httpx.AsyncClient, stage: Stage) -> None:
    stage.append("s", [turn("a"), turn("b")])
    stage.append("z", [turn("a")])
    url = "/v1/sessions/s/events"
    cursor = (await api.get(url, params={"limit": 1})).json()["next_cursor"]
    same = await api.get(url, params={"limit": 1, "cursor": cursor, "order": "asc"})
    assert [item["seq"] for item in same.json()["items"]] == [2]
    for path, more in (("s/events", {"order": "desc"}), ("z/events", {}), ("s/turns", {})):
        answer = await api.get(f"/v1/sessions/{path}", params={"cursor": cursor, **more})
        if path != "s/turns":
            problem(answer, 400, "bad-cursor")
    found = problem(await api.get(url, params={"min_seq": 3}), 409, "behind-head")
    assert found["head"] == 2
    assert (await api.get(url, params={"min_seq": 2})).status_code == 200


async def test_without_redis_the_list_ends_with_the_archive(stage: Stage) -> None:
    stage.append("s", [turn("a"), turn("b")])
    stage.project()
    stage.append("s", [turn("c")])
    async with serving(stage, redis_url="redis://127.0.0.1:1") as api:
        answer = await api.get("/v1/sessions/s/events")
        assert [item["seq"] for item in answer.json()["items"]] == [1, 2]
        assert "turnlog-head" not in answer.headers


async def test_a_log_that_lost_events_is_shown_as_far_as_it_is_archived(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    stage.append("s", [turn("a"), turn("b")])
    stage.project()
    stage.append("s", [turn("c"), turn("d")])
    stage.client.xdel(Keys("default", "s", PARTITIONS).stream, "3-0")
    answer = await api.get("/v1/sessions/s/events")
    assert [item["seq"] for item in answer.json()["items"]] == [1, 2]
    assert answer.headers["turnlog-head"] == "4"
    assert (await api.get("/v1/sessions/s", params={"as_of": 2})).json()["turn_count"] == 2
    for as_of in ("3", times.now()):
        answer = await api.get("/v1/sessions/s", params={"as_of": as_of})
        assert answer.status_code == 503
