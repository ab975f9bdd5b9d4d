"""Revisions of turns, titles and branches: who, when, before, after."""

import itertools
from collections import deque
from typing import Any

import httpx
import pytest
from appending import NewEvent, event, poison, turn
from histories import EVENTS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pasttruth import Moment, erased_turns, moments_of
from pydantic_core import from_json, to_json
from served import PARTITIONS, Stage, Users, all_pages, problem
from truth import read_streams

from turnlog_api.logsteps import Decoder, LogEvent
from turnlog_api.models import BranchPage, RevisionPage, TitlePage
from turnlog_projector.log import SessionKey, StoredEvent
from turnlog_schemas.ids import partition_of
from turnlog_schemas.rows import LAST_SEQ

pytestmark = pytest.mark.integration

SLOW = settings(
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
STRONG = {"consistency": "strong"}
ANN = {"kind": "agent", "id": "ann"}
_names = itertools.count()


def folded(stage: Stage, session_id: str) -> Moment | None:
    """What the log folds to, up to the first event that cannot be read."""
    name = ("default", session_id)
    log = [
        LogEvent(StoredEvent(*each), None)
        for each in read_streams(stage.client, [name], PARTITIONS)[name]
    ]
    key = SessionKey(partition_of(*name, PARTITIONS), *name)
    last = deque(moments_of(log, Decoder(key, erased=erased_turns(log))), maxlen=1)
    return last[0] if last else None


def revisions_of(true: Moment, turn_id: str) -> list[Any]:
    rows = sorted(true.rows.revisions.items())
    return from_json(to_json([row for (id_, _), row in rows if id_ == turn_id]))


def titles_of(true: Moment) -> list[Any]:
    items: list[Any] = [dict(row) for _, row in sorted(true.rows.titles.items())]
    for before, item in zip([None, *items], items, strict=False):
        item["before"] = before["title"] if before else None
    return from_json(to_json(items))


def branches_of(true: Moment) -> list[Any]:
    by_seq = {row["seq"]: row for row in true.rows.turns.values()}
    items: list[dict[str, Any]] = []
    for row in sorted(true.rows.branches.values(), key=lambda row: row["first_seq"]):
        shown = row["branch_id"] == true.session["branch_id"]
        path = [[id_, None if upto == LAST_SEQ else upto] for id_, upto in row["path"]]
        tip = true.session["tip_turn_id"] if shown else row["tip_turn_id"]
        actor = by_seq[row["first_seq"]]["actor"]
        changed = {"shown": shown, "path": path, "tip_turn_id": tip, "actor": actor}
        items.append({**row, **changed})
    return from_json(to_json(items))


async def check(
    api: httpx.AsyncClient, session_id: str, true: Moment, limit: int, params: dict[str, str]
) -> None:
    url = f"/v1/sessions/{session_id}"

    async def pages(path: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        query: dict[str, Any] = {"limit": limit, **params}
        while True:
            page = (await api.get(f"{url}/{path}", params=query)).raise_for_status().json()
            items += page["items"]
            if page["next_cursor"] is None:
                return items
            assert len(page["items"]) == limit
            query["cursor"] = page["next_cursor"]

    for turn_id in true.rows.turns:
        assert await pages(f"turns/{turn_id}/revisions") == revisions_of(true, turn_id)
    assert await pages("titles") == titles_of(true)
    assert await pages("branches") == branches_of(true)


@settings(SLOW, max_examples=15)
@given(
    events=st.lists(
        EVENTS.filter(lambda each: b".erased" not in each.raw), min_size=1, max_size=25
    ),
    projected=st.integers(0, 25),
    limit=st.sampled_from([1, 2, 1000]),
)
async def test_they_are_those_of_the_fold(
    api: httpx.AsyncClient, stage: Stage, events: list[NewEvent], projected: int, limit: int
) -> None:
    session_id = f"s{next(_names)}"
    stage.append(session_id, events[:projected])
    stage.project()
    before = folded(stage, session_id) if projected else None
    if before is not None:
        await check(api, session_id, before, limit, {})
    stage.append(session_id, events[projected:])
    after = folded(stage, session_id)
    if after is None or after.session["seq"] < len(events):
        return  # a session that is parked has no strong answer
    await check(api, session_id, after, limit, STRONG)
    stage.project()
    await check(api, session_id, after, limit, {})


async def test_who_when_before_and_after(api: httpx.AsyncClient, stage: Stage) -> None:
    stage.append(
        "s",
        [
            turn("a", "First words"),
            event("turn.edited", {"turn_id": "a", "content": "Others"}, actor=ANN),
            event("session.updated", {"title": "A name"}, actor=ANN),
            turn("b", parent_turn_id=None),
            event("turn.retracted", {"turn_id": "a", "reason": "wrong"}),
        ],
    )
    stage.project()
    edit, retraction = (await api.get("/v1/sessions/s/turns/a/revisions")).json()["items"]
    assert (edit["seq"], edit["type"], edit["actor"]) == (2, "turn.edited", ANN)
    assert edit["before"] == {"content": "First words", "edited": False}
    assert edit["after"] == {"content": "Others", "edited": True}
    stored = (await api.get("/v1/sessions/s/events", params={"after": 1, "limit": 1})).json()
    assert edit["at"] == min(stored["items"][0]["at"], stored["items"][0]["recorded_at"])
    assert (retraction["reason"], retraction["before"]["content"]) == ("wrong", "Others")
    titles = (await api.get("/v1/sessions/s/titles")).json()["items"]
    assert [(each["title"], each["before"], each["actor"]) for each in titles] == [
        ("First words", None, None),
        ("A name", "First words", ANN),
    ]
    assert [each["turn_id"] for each in titles] == ["a", None]
    branches = (await api.get("/v1/sessions/s/branches")).json()["items"]
    assert [(each["branch_id"], each["shown"], each["tip_turn_id"]) for each in branches] == [
        ("main", False, "a"),
        ("b4", True, "b"),
    ]
    assert (await api.get("/v1/sessions/s/turns/b/revisions")).json()["items"] == []
    for path, model in (
        ("turns/a/revisions", RevisionPage),
        ("titles", TitlePage),
        ("branches", BranchPage),
    ):
        answer = await api.get(f"/v1/sessions/s/{path}")
        model.model_validate(answer.json())
        assert (answer.headers["turnlog-seq"], answer.headers["turnlog-head"]) == ("5", "5")


async def test_of_an_erased_turn_nothing_is_told(api: httpx.AsyncClient, stage: Stage) -> None:
    edit = event("turn.edited", {"turn_id": "a", "content": "my password again"})
    stage.append("s", [turn("a", "my password"), edit, event("session.updated", {"title": "x"})])
    stage.project()
    assert "password" in (await api.get("/v1/sessions/s/titles")).text
    stage.append("s", [event("turn.erased", {"turn_id": "a"})])
    for params in (STRONG, {}):
        for path in ("turns/a/revisions", "titles"):
            answer = await api.get(f"/v1/sessions/s/{path}", params=params)
            assert answer.status_code == 200
            assert "password" not in answer.text
        stage.project()
    stage.append("s", [event("session.erased")])
    for params in (STRONG, {}):
        for path in ("turns/a/revisions", "titles", "branches"):
            answer = await api.get(f"/v1/sessions/s/{path}", params=params)
            problem(answer, 404, "not-found")
        stage.project()


async def test_a_turn_that_does_not_exist_has_none(api: httpx.AsyncClient, stage: Stage) -> None:
    stage.append("s", [turn("a")])
    url = "/v1/sessions/s/turns"
    problem(await api.get(f"{url}/x/revisions", params=STRONG), 404, "not-found")
    assert (await api.get(f"{url}/a/revisions", params=STRONG)).json()["items"] == []
    stage.project()
    problem(await api.get(f"{url}/x/revisions"), 404, "not-found")
    problem(await api.get("/v1/sessions/none/turns/a/revisions"), 404, "not-found")
    stage.append("s", [poison()])
    problem(await api.get(f"{url}/a/revisions", params=STRONG), 409, "parked")


async def test_a_cursor_belongs_to_its_list(api: httpx.AsyncClient, stage: Stage) -> None:
    stage.append("s", [turn("a", "A"), turn("b", parent_turn_id=None)])
    stage.append("s", [event("session.updated", {"title": "x"})])
    stage.project()
    cursors: dict[str, str] = {}
    for path in ("titles", "branches"):
        page = (await api.get(f"/v1/sessions/s/{path}", params={"limit": 1})).json()
        cursors[path] = page["next_cursor"]
        items, pages = await all_pages(api, f"/v1/sessions/s/{path}", limit=1)
        assert (len(items), pages) == (2, 2)
    for path, cursor in (
        ("titles", cursors["branches"]),
        ("branches", cursors["titles"]),
        ("turns/a/revisions", cursors["titles"]),
        ("titles", "x"),
    ):
        answer = await api.get(f"/v1/sessions/s/{path}", params={"cursor": cursor})
        problem(answer, 400, "bad-cursor")


async def test_they_are_for_those_who_may_read_the_session(
    guarded: httpx.AsyncClient, stage: Stage, users: Users
) -> None:
    stage.append("s", [event("session.started", {"user_id": "me"}), turn("a", "A")], owner="me")
    refused: list[dict[str, str]] = [
        users.headers("other"),
        users.headers("me", tenant="elsewhere"),
        users.headers("service", scope="service", tenant="elsewhere"),
    ]
    for path in ("turns/a/revisions", "titles", "branches", "events"):
        url = f"/v1/sessions/s/{path}"
        for params in ({}, STRONG, {"min_seq": 2}):
            for headers in refused:
                answer = await guarded.get(url, params=params, headers=headers)
                problem(answer, 404, "not-found")
            problem(await guarded.get(url, params=params), 401, "unauthenticated")
        good = await guarded.get(url, params=STRONG, headers=users.headers("me"))
        assert good.status_code == 200
