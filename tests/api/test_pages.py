"""Lists: keyset pages, forwards and backwards, and what they leave out."""

from base64 import urlsafe_b64encode
from typing import Any

import httpx
import pytest
from appending import event, turn
from served import Stage, all_pages, problem

from turnlog_api.models import Session, Turn

pytestmark = pytest.mark.integration
TURNS = "/v1/sessions/s/turns"


def fill(stage: Stage, count: int, *, session_id: str = "s") -> None:
    events = [event("session.started", {"user_id": "u"})]
    events += [turn(f"t{number}", f"turn {number}") for number in range(count)]
    stage.writer().append(session_id, *events, owner="u")
    stage.project()


def ids(items: list[dict[str, Any]]) -> list[str]:
    return [item["turn_id"] for item in items]


async def test_pages_hold_every_turn_once_in_both_directions(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    fill(stage, 23)
    expected = [f"t{number}" for number in range(23)]
    for limit, pages in ((1, 23), (5, 5), (22, 2), (23, 1), (1000, 1)):
        assert await all_pages(api, TURNS, limit=limit) == (
            (await api.get(TURNS, params={"limit": 1000})).json()["items"],
            pages,
        )
        forwards, _ = await all_pages(api, TURNS, limit=limit)
        backwards, count = await all_pages(api, TURNS, limit=limit, order="desc")
        assert ids(forwards) == expected
        assert ids(backwards) == expected[::-1]
        assert count == pages


async def test_before_and_after_are_seqs_that_stay_outside(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    fill(stage, 10)  # seqs 2 to 11
    for order in ("asc", "desc"):
        items, _ = await all_pages(api, TURNS, after=4, before=9, order=order, limit=2)
        assert sorted(item["seq"] for item in items) == [5, 6, 7, 8]
    page = (await api.get(TURNS, params={"after": 4, "before": 9})).json()
    assert page["total_count"] == 10


async def test_a_page_of_a_growing_session_goes_on_where_it_ended(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    fill(stage, 4)
    first = (await api.get(TURNS, params={"limit": 3, "order": "desc"})).json()
    stage.writer().append("s", turn("late"))
    stage.project()
    second = (await api.get(TURNS, params={"cursor": first["next_cursor"]})).json()
    assert ids(first["items"] + second["items"]) == ["t3", "t2", "t1", "t0"]


async def test_retracted_and_cleared_turns_are_left_out(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    fill(stage, 3)
    writer = stage.writer()
    writer.append("s", event("session.cleared"))
    writer.append("s", turn("a"), turn("b"), event("turn.retracted", {"turn_id": "a"}))
    stage.project()
    page = (await api.get(TURNS)).json()
    assert (ids(page["items"]), page["total_count"]) == (["b"], 1)
    stubs = (await api.get(TURNS, params={"include": "retracted"})).json()["items"]
    assert [(item["turn_id"], item["status"], item["content"]) for item in stubs] == [
        ("a", "retracted", None),
        ("b", "complete", "Hi"),
    ]


async def test_the_history_of_a_branch_is_its_path(api: httpx.AsyncClient, stage: Stage) -> None:
    fill(stage, 6)
    writer = stage.writer()
    writer.append("s", turn("x0", parent_turn_id="t2"), turn("x1"))
    writer.append("s", turn("y0", parent_turn_id="x0"), turn("t6", parent_turn_id="t5"))
    stage.project()
    paths = {
        "main": ["t0", "t1", "t2", "t3", "t4", "t5", "t6"],
        "b8": ["t0", "t1", "t2", "x0", "x1"],
        "b10": ["t0", "t1", "t2", "x0", "y0"],
    }
    for branch, expected in paths.items():
        for limit in (2, 100):
            for order in ("asc", "desc"):
                items, _ = await all_pages(api, TURNS, branch=branch, limit=limit, order=order)
                assert ids(items) == expected[:: 1 if order == "asc" else -1]
        page = (await api.get(TURNS, params={"branch": branch, "limit": 1})).json()
        assert page["total_count"] == len(expected)
    shown = (await api.get("/v1/sessions/s")).json()["branch_id"]
    assert ids((await api.get(TURNS)).json()["items"]) == paths[shown]
    problem(await api.get(TURNS, params={"branch": "nowhere"}), 404, "not-found")


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "!!!",
        "AAAA",
        "",
        "\0",
        "e30",
        urlsafe_b64encode(b'{"session_id":"s","seq":-1}').decode(),
        urlsafe_b64encode(b'{"session_id":"s","seq":"1"}').decode(),
        urlsafe_b64encode(b'{"session_id":"other","seq":1}').decode(),
        urlsafe_b64encode(b'{"session_id":"s","seq":1,"order":"random"}').decode(),
        urlsafe_b64encode(b'{"session_id":"s","seq":1,"branch":"\\u0000"}').decode(),
        "A" * 5000,
    ],
)
async def test_a_broken_cursor_is_refused(
    api: httpx.AsyncClient, stage: Stage, cursor: str
) -> None:
    fill(stage, 1)
    problem(await api.get(TURNS, params={"cursor": cursor}), 400, "bad-cursor")
    problem(await api.get("/v1/sessions", params={"cursor": cursor}), 400, "bad-cursor")


async def test_a_cursor_belongs_to_its_filters(api: httpx.AsyncClient, stage: Stage) -> None:
    fill(stage, 3)
    params = {"limit": 1, "order": "desc"}
    cursor = (await api.get(TURNS, params=params)).json()["next_cursor"]
    same = await api.get(TURNS, params={**params, "cursor": cursor})
    assert ids(same.json()["items"]) == ["t1"]
    other = await api.get(TURNS, params={"order": "asc", "cursor": cursor})
    problem(other, 400, "bad-cursor")


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=ten", "limit"),
        ("after=-1", "after"),
        ("after=99999999999999999999", "after"),
        ("order=up", "order"),
        ("branch=%00", "branch"),
        ("include=all", "include"),
        ("consistency=weak", "consistency"),
        ("limt=5", "limt"),
        ("%00=1", "\0"),
    ],
)
async def test_a_bad_parameter_is_named(api: httpx.AsyncClient, query: str, parameter: str) -> None:
    found = problem(await api.get(f"{TURNS}?{query}"), 422, "invalid")
    assert found["errors"][0]["parameter"] == parameter


async def test_a_query_that_is_no_utf8_is_refused(api: httpx.AsyncClient) -> None:
    problem(await api.get("/v1/sessions?user_id=%ff"), 400, "bad-request")


async def test_sessions_come_newest_first_through_equal_times(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    at = "2026-01-01T00:00:00.000000Z"
    for number in range(12):
        later = "2026-01-02T00:00:00.000000Z" if number % 3 == 0 else at
        started = event("session.started", {"user_id": f"u{number % 2}"}, at=later)
        stage.writer().append(f"s{number:02}", started, owner=f"u{number % 2}")
    stage.project()
    whole = (await api.get("/v1/sessions")).json()["items"]
    keys = [(item["updated_at"], item["session_id"]) for item in whole]
    assert keys == sorted(keys, reverse=True)
    assert len(keys) == 12
    for limit in (1, 5, 12):
        assert (await all_pages(api, "/v1/sessions", limit=limit))[0] == whole
    own = await all_pages(api, "/v1/sessions", limit=2, user_id="u1")
    assert own[0] == [item for item in whole if item["user_id"] == "u1"]


async def test_sessions_are_filtered(api: httpx.AsyncClient, stage: Stage) -> None:
    day = "2026-01-0{}T00:00:00.000000Z"
    for number in (1, 2, 3):
        data = {"user_id": "u", "project": "p" if number < 3 else "q"}
        started = event("session.started", data, at=day.format(number))
        stage.writer().append(f"s{number}", started, owner="u")
    archive = event("session.updated", {"archived": True}, at=day.format(1))
    stage.writer().append("s1", archive)
    stage.writer().append("gone", event("session.started"), event("session.deleted"))
    stage.project()

    async def found(**params: Any) -> list[str]:
        items = (await api.get("/v1/sessions", params=params)).raise_for_status().json()["items"]
        return [item["session_id"] for item in items]

    assert await found() == ["s3", "s2", "s1"]
    assert await found(project="p") == ["s2", "s1"]
    assert await found(archived="false") == ["s3", "s2"]
    assert await found(archived="true") == ["s1"]
    assert await found(since=day.format(2)) == ["s3", "s2"]
    assert await found(until="2026-01-02T01:00:00+01:00") == ["s1"]
    assert await found(user_id="nobody") == []


async def test_answers_fit_the_documented_models(api: httpx.AsyncClient, stage: Stage) -> None:
    fill(stage, 1)
    tools = [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    stage.writer().append(
        "s",
        turn("x", None, role="assistant", tool_calls=tools, usage={"input_tokens": 1}),
        turn("y", [{"type": "text", "text": "nul \0 and 🎈"}], artifacts=[{"id": "a"}]),
        event("turn.annotated", {"turn_id": "x", "kind": "rating", "value": 1, "by": "u"}),
    )
    stage.project()
    found = await api.get("/v1/sessions/s")
    Session.model_validate_json(found.content)
    for item in (await api.get(TURNS)).json()["items"]:
        Turn.model_validate(item)
    content = (await api.get(TURNS)).json()["items"][-1]["content"]
    assert content == [{"type": "text", "text": "nul \0 and 🎈"}]
