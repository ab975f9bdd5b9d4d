"""The list of projects."""

from typing import Any

import httpx
import pytest
from served import Stage, problem

pytestmark = pytest.mark.integration


async def begin(
    api: httpx.AsyncClient, session_id: str, project: str | None, user: str, **more: Any
) -> None:
    body = {"session_id": session_id, "project": project, **more}
    answer = await api.post("/v1/sessions", json=body, headers={"Turnlog-User": user})
    assert answer.status_code == 201


@pytest.fixture
async def some(api: httpx.AsyncClient, stage: Stage) -> None:
    """Sessions of two users in three projects and in none."""
    await begin(api, "a", "sales", "u")
    await begin(api, "b", "sales", "u")
    await begin(api, "c", "art", "u")
    await begin(api, "d", None, "u")
    await begin(api, "e", "sales", "v")
    await begin(api, "f", "zoo", "v", visibility="tenant")
    turn = {"role": "user", "content": "Hello"}
    await api.post("/v1/sessions/a/turns", json=turn)
    stage.project()


async def counts(api: httpx.AsyncClient, query: str = "", **headers: str) -> dict[Any, Any]:
    answer = await api.get(f"/v1/projects{query}", headers=headers)
    assert answer.status_code == 200
    return {item["project"]: item["session_count"] for item in answer.json()["items"]}


@pytest.mark.usefixtures("some")
async def test_projects_come_by_name_with_counts(api: httpx.AsyncClient) -> None:
    answer = (await api.get("/v1/projects")).json()
    assert [item["project"] for item in answer["items"]] == [None, "art", "sales", "zoo"]
    sales = answer["items"][2]
    assert (sales["session_count"], sales["turn_count"]) == (3, 1)
    session = (await api.get("/v1/sessions/a")).json()
    assert sales["updated_at"] >= session["updated_at"]
    assert not answer["has_more"]


@pytest.mark.usefixtures("some")
async def test_a_user_sees_projects_of_own_and_shared_sessions(api: httpx.AsyncClient) -> None:
    user = {"Turnlog-User": "u"}
    assert await counts(api, **user) == {None: 1, "art": 1, "sales": 2, "zoo": 1}
    assert await counts(api, "?user_id=u", **user) == {None: 1, "art": 1, "sales": 2}
    assert await counts(api, **{"Turnlog-Tenant": "other"}) == {}


@pytest.mark.usefixtures("some")
async def test_deleted_and_archived_sessions(api: httpx.AsyncClient, stage: Stage) -> None:
    await api.delete("/v1/sessions/c")
    await api.patch("/v1/sessions/b", json={"archived": True})
    stage.project()
    assert await counts(api) == {None: 1, "sales": 3, "zoo": 1}
    assert await counts(api, "?archived=true") == {"sales": 1}


@pytest.mark.usefixtures("some")
async def test_pages_go_on_behind_the_last_name(api: httpx.AsyncClient) -> None:
    seen: list[str | None] = []
    query = "?limit=1"
    while True:
        answer = (await api.get(f"/v1/projects{query}")).json()
        seen += [item["project"] for item in answer["items"]]
        if not answer["has_more"]:
            break
        query = f"?limit=1&cursor={answer['next_cursor']}"
    assert seen == [None, "art", "sales", "zoo"]
    problem(await api.get("/v1/projects?cursor=e30"), 400, "bad-cursor")
