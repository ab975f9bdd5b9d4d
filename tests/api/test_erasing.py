"""Erasing over HTTP: sessions, users, and who may."""

from typing import Any

import httpx
import pytest
from appending import event, turn
from served import Stage, Users, problem

from turnlog_producers.keys import Keys

pytestmark = pytest.mark.integration
SECRET = "hunter2"
SESSION = "/v1/sessions/mine"
ERASE = {"erase": "true"}


async def begin(
    api: httpx.AsyncClient, session_id: str, headers: dict[str, str] | None = None
) -> None:
    """A session with a turn."""
    body = {"session_id": session_id, "title": SECRET}
    assert (await api.post("/v1/sessions", json=body, headers=headers)).status_code == 201
    hello = {"role": "user", "content": SECRET}
    added = await api.post(f"/v1/sessions/{session_id}/turns", json=hello, headers=headers)
    assert added.status_code == 201


def archive(stage: Stage) -> bytes:
    """All bytes of the archive."""
    rows = stage.connection.execute("SELECT bytes FROM turnlog.archive").fetchall()
    return b"\n".join(row[0] for row in rows)


async def test_an_owner_erases_a_session(
    guarded: httpx.AsyncClient, stage: Stage, users: Users
) -> None:
    me = users.headers("me")
    await begin(guarded, "mine", me)
    erased = await guarded.delete(SESSION, params=ERASE, headers=me)
    assert erased.status_code == 200
    assert erased.json()["seq"] == 3
    stage.project()
    assert SECRET.encode() not in archive(stage)
    problem(await guarded.get(SESSION, headers=me), 404, "not-found")
    late = await guarded.post(
        f"{SESSION}/turns", json={"role": "user", "content": "late"}, headers=me
    )
    problem(late, 404, "not-found")


@pytest.mark.parametrize("projected", [False, True])
async def test_erasing_again_is_no_fault(
    guarded: httpx.AsyncClient, stage: Stage, users: Users, projected: bool
) -> None:
    me = {**users.headers("me"), "Idempotency-Key": "k"}
    await begin(guarded, "mine", users.headers("me"))
    first = await guarded.delete(SESSION, params=ERASE, headers=me)
    if projected:
        stage.project()
    again = await guarded.delete(SESSION, params=ERASE, headers=me)
    assert again.json() == {**first.json(), "repeat": True}
    admin = users.headers("op", scope="admin")
    told = await guarded.delete(SESSION, params=ERASE, headers=admin)
    assert told.json()["repeat"]


async def test_nobody_else_erases_a_session(
    guarded: httpx.AsyncClient, stage: Stage, users: Users
) -> None:
    await begin(guarded, "mine", users.headers("me"))
    stage.project()
    for headers in (users.headers("you"), users.headers("me", tenant="other")):
        problem(await guarded.delete(SESSION, params=ERASE, headers=headers), 404, "not-found")
    shared = {"visibility": "tenant"}
    await guarded.patch(SESSION, json=shared, headers=users.headers("me"))
    stage.project()
    refused = await guarded.delete(SESSION, params=ERASE, headers=users.headers("you"))
    problem(refused, 403, "forbidden")
    assert (await guarded.get(SESSION, headers=users.headers("me"))).status_code == 200
    await guarded.delete(SESSION, params=ERASE, headers=users.headers("me"))
    stage.project()
    problem(
        await guarded.delete(SESSION, params=ERASE, headers=users.headers("you")), 404, "not-found"
    )


async def test_an_erasure_at_another_seq_is_refused(api: httpx.AsyncClient) -> None:
    await begin(api, "mine")
    refused = await api.delete(SESSION, params=ERASE, headers={"If-Match": '"7"'})
    problem(refused, 412, "precondition-failed")


async def test_without_erase_a_delete_is_soft(api: httpx.AsyncClient, stage: Stage) -> None:
    await begin(api, "mine")
    deleted = await api.delete(SESSION, params={"erase": "false"})
    assert deleted.status_code == 200
    stage.project()
    assert (await api.get(SESSION)).json()["deleted"]


async def test_an_erased_turn_is_gone_from_the_archive(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    hello = {"role": "user", "content": SECRET, "turn_id": "t"}
    await api.post(f"{SESSION}/turns", json=hello, headers={"Idempotency-Key": "k"})
    stage.project()
    erased = await api.delete(f"{SESSION}/turns/t", params=ERASE)
    assert erased.status_code == 200
    stage.project()
    assert SECRET.encode() not in archive(stage)
    [shown] = (await api.get(f"{SESSION}/turns?include=retracted")).json()["items"]
    assert (shown["status"], shown["content"]) == ("retracted", None)
    repeat = await api.post(f"{SESSION}/turns", json=hello, headers={"Idempotency-Key": "k"})
    assert repeat.json()["repeat"]


# Users


def many(stage: Stage, user: str, count: int, *, tenant: str = "default") -> None:
    """Sessions of a user, past the API."""
    writer = stage.writer(tenant)
    for number in range(count):
        begun = event("session.started", {"user_id": user})
        writer.append(f"{user}-{number}", begun, turn("t", SECRET), owner=user)


async def erase_user(
    api: httpx.AsyncClient, user: str, headers: dict[str, str] | None = None
) -> dict[str, Any]:
    answer = await api.delete(f"/v1/users/{user}", headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_user_is_erased_wherever_the_sessions_are(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    many(stage, "u-1", 30)
    await api.delete("/v1/sessions/u-1-3")
    stage.project()
    lost = Keys("default", "u-1-4", 4)
    stage.client.hdel(lost.heads, lost.field)
    stage.client.delete(lost.stream, lost.ids)
    stage.writer().append(
        "new", event("session.started", {"user_id": "u-1"}), turn("t", SECRET), owner="u-1"
    )
    many(stage, "u-10", 1)
    many(stage, "u-1", 1, tenant="other")
    assert await erase_user(api, "u-1") == {"user_id": "u-1", "erased": 31, "failed": []}
    assert await erase_user(api, "u-1") == {"user_id": "u-1", "erased": 0, "failed": []}
    problem(await api.get("/v1/sessions/new"), 404, "not-found")
    kept = await api.get("/v1/sessions/u-10-0?consistency=strong")
    assert kept.status_code == 200
    other = {"Turnlog-Tenant": "other"}
    assert await erase_user(api, "u-1", other) == {"user_id": "u-1", "erased": 1, "failed": []}


async def test_a_session_that_cannot_be_erased_is_named(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    many(stage, "u", 2)
    stage.project()
    stage.client.delete(Keys("default", "u-1", 4).stream)
    answer = await api.delete("/v1/users/u")
    assert answer.status_code == 202
    assert answer.json()["erased"] == 1
    [failed] = answer.json()["failed"]
    assert failed["session_id"] == "u-1"


@pytest.mark.parametrize("user", ["Ünï cödé/with slash", "a b", "x" * 256])
async def test_any_user_id_can_be_erased(api: httpx.AsyncClient, stage: Stage, user: str) -> None:
    stage.writer().append("s", event("session.started", {"user_id": user}), owner=user)
    assert (await erase_user(api, user))["erased"] == 1


async def test_a_user_id_that_cannot_be_is_refused(api: httpx.AsyncClient) -> None:
    problem(await api.delete(f"/v1/users/{'x' * 257}"), 422, "invalid")


async def test_only_operators_erase_users(guarded: httpx.AsyncClient, users: Users) -> None:
    for headers in (users.headers("me"), users.headers("s", scope="service")):
        problem(await guarded.delete("/v1/users/me", headers=headers), 403, "forbidden")
    answer = await guarded.delete("/v1/users/me", headers=users.headers("op", scope="admin"))
    assert answer.status_code == 200
