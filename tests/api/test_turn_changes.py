"""Edits, retractions and annotations of turns."""

from typing import Any

import httpx
import pytest
from served import Stage, Users, problem

pytestmark = pytest.mark.integration
TURN = "/v1/sessions/s/turns/t"
HELLO = {"role": "user", "content": "Hello", "turn_id": "t"}


async def begin(api: httpx.AsyncClient, stage: Stage, **headers: str) -> None:
    """A session `s` with a turn `t`, projected."""
    added = await api.post("/v1/sessions/s/turns", json=HELLO, headers=headers)
    assert added.status_code == 201
    stage.project()


async def turns(api: httpx.AsyncClient, **headers: str) -> list[dict[str, Any]]:
    answer = await api.get("/v1/sessions/s/turns?include=retracted", headers=headers)
    return answer.json()["items"]


async def test_an_edit_replaces_the_content(api: httpx.AsyncClient, stage: Stage) -> None:
    await begin(api, stage)
    edited = await api.patch(TURN, json={"content": "Good day", "reason": "politer"})
    assert edited.status_code == 200
    assert edited.json()["turn_id"] == "t"
    stage.project()
    [turn] = await turns(api)
    assert (turn["content"], turn["edited"]) == ("Good day", True)


async def test_an_edit_with_a_key_is_written_once(api: httpx.AsyncClient, stage: Stage) -> None:
    await begin(api, stage)
    key = {"Idempotency-Key": "k"}
    first = await api.patch(TURN, json={"content": "Good day"}, headers=key)
    again = await api.patch(TURN, json={"content": "Good day"}, headers=key)
    other = await api.patch(TURN, json={"content": "Good night"}, headers=key)
    assert again.json() == {**first.json(), "repeat": True}
    problem(other, 422, "key-reused")


async def test_an_edit_at_another_seq_is_refused(api: httpx.AsyncClient, stage: Stage) -> None:
    await begin(api, stage)
    refused = await api.patch(TURN, json={"content": "x"}, headers={"If-Match": '"7"'})
    problem(refused, 412, "precondition-failed")


async def test_a_retracted_turn_is_a_stub(api: httpx.AsyncClient, stage: Stage) -> None:
    await begin(api, stage)
    retracted = await api.delete(TURN, params={"reason": "wrong window"})
    assert retracted.status_code == 200
    stage.project()
    [turn] = await turns(api)
    assert (turn["status"], turn["content"], turn["reason"]) == ("retracted", None, "wrong window")
    assert (await api.get("/v1/sessions/s/turns")).json()["items"] == []


async def test_an_annotation_is_by_the_caller(api: httpx.AsyncClient, stage: Stage) -> None:
    user = {"Turnlog-User": "u"}
    await begin(api, stage, **user)
    rated = await api.post(TURN + "/annotations", json={"kind": "rating", "value": 1}, headers=user)
    assert rated.status_code == 201
    stage.project()
    [turn] = await turns(api, **user)
    [annotation] = turn["annotations"]
    assert (annotation["kind"], annotation["value"], annotation["by"]) == ("rating", 1, "u")


async def test_a_rating_is_taken_back(api: httpx.AsyncClient, stage: Stage) -> None:
    await begin(api, stage)
    for value in (1, None):
        await api.post(TURN + "/annotations", json={"kind": "rating", "value": value, "by": "u"})
    stage.project()
    [turn] = await turns(api)
    assert turn["annotations"] == []


async def test_a_user_annotates_as_nobody_else(
    guarded: httpx.AsyncClient, stage: Stage, users: Users
) -> None:
    await begin(guarded, stage, **users.headers("u"))
    body = {"kind": "comment", "value": "Well", "by": "somebody"}
    refused = await guarded.post(TURN + "/annotations", json=body, headers=users.headers("u"))
    problem(refused, 403, "forbidden")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "", {"content": "x"}),
        ("DELETE", "", None),
        ("POST", "/annotations", {"kind": "rating", "value": 1}),
    ],
)
async def test_an_unknown_turn_and_a_foreign_session_are_not_found(
    api: httpx.AsyncClient, stage: Stage, method: str, path: str, body: dict[str, Any] | None
) -> None:
    user = {"Turnlog-User": "u"}
    await begin(api, stage, **user)
    unknown = await api.request(
        method, f"/v1/sessions/s/turns/other{path}", json=body, headers=user
    )
    problem(unknown, 404, "not-found")
    foreign = await api.request(method, TURN + path, json=body, headers={"Turnlog-User": "v"})
    problem(foreign, 404, "not-found")
    missing = await api.request(method, f"/v1/sessions/none/turns/t{path}", json=body)
    problem(missing, 404, "not-found")


@pytest.mark.parametrize("body", [{}, {"content": 7}, {"content": "x", "role": "user"}])
async def test_a_bad_edit_is_refused(
    api: httpx.AsyncClient, stage: Stage, body: dict[str, Any]
) -> None:
    await begin(api, stage)
    problem(await api.patch(TURN, json=body), 422, "invalid")
