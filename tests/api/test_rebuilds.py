"""Rebuilds over HTTP: asked for, run by a projector, watched, cancelled."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import psycopg
import pytest
from appending import turn
from served import Stage, Users, problem
from servers import wait_until_async

from turnlog_api.reading import with_role
from turnlog_projector import rebuild_duty
from turnlog_projector.replaying import replay_connection
from turnlog_projector.settings import Settings
from turnlog_projector.worker import Worker

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers look for rebuilds all the time."""
    monkeypatch.setattr(rebuild_duty, "_LOOK_SECONDS", 0.05)


@contextmanager
def projector(stage: Stage) -> Iterator[None]:
    """A worker in a thread."""
    stop = threading.Event()
    settings = Settings(
        redis_url=stage.redis_url,
        postgres_url=stage.postgres_url,
        lease_seconds=1.0,
        log_level="ERROR",
    )
    thread = threading.Thread(target=Worker(settings, stop.is_set).run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)


@pytest.fixture
def filled(stage: Stage) -> Stage:
    """A few sessions, projected."""
    for number in range(4):
        stage.append(f"s{number}", [turn(f"t{n}") for n in range(5)])
    stage.project()
    return stage


async def ended(api: httpx.AsyncClient, rebuild: int) -> dict[str, Any]:
    """The rebuild, when it has come to its end."""

    async def looked() -> dict[str, Any] | None:
        item = (await api.get(f"/v1/rebuilds/{rebuild}")).raise_for_status().json()
        return item if item["state"] not in ("waiting", "running") else None

    found = await wait_until_async(looked, "the rebuild has ended", 60.0)
    assert found is not None
    return found


async def running(api: httpx.AsyncClient, rebuild: int, phase: str) -> None:
    """Wait until it is in a phase."""

    async def looked() -> bool:
        item = (await api.get(f"/v1/rebuilds/{rebuild}")).raise_for_status().json()
        assert item["state"] in ("waiting", "running"), item
        return item["phase"] == phase

    await wait_until_async(looked, f"the rebuild is in the phase {phase}", 30.0)


def generations(stage: Stage) -> list[tuple[int, str]]:
    rows = stage.connection.execute("SELECT generation, state FROM turnlog.generations ORDER BY 1")
    return [(row[0], row[1]) for row in rows]


async def test_a_projector_does_what_was_asked_for(filled: Stage, api: httpx.AsyncClient) -> None:
    asked = await api.post("/v1/rebuilds", json={})
    assert asked.status_code == 202, asked.text
    item = asked.json()
    assert (item["state"], item["attempts"]) == ("waiting", 0)
    assert asked.headers["location"] == f"/v1/rebuilds/{item['rebuild_id']}"
    again = await api.post("/v1/rebuilds", json={})
    assert problem(again, 409, "rebuild-under-way")["rebuild_id"] == item["rebuild_id"]
    with projector(filled):
        done = await ended(api, item["rebuild_id"])
        assert (done["state"], done["error"]) == ("done", None)
        assert (done["generation"], done["former"], done["attempts"]) == (2, 1, 1)
        assert done["done"] == done["total"] == 20
        assert len(done["digest"]) == 32
        assert generations(filled) == [(1, "kept"), (2, "live")]
        assert (await api.get("/v1/sessions/s1/turns")).json()["total_count"] == 5
        body = {"session_id": "s1", "until": "3", "name": "early"}
        one = (await api.post("/v1/rebuilds", json=body)).raise_for_status().json()
        assert (one["session_id"], one["until"], one["name"]) == ("s1", "3", "early")
        looked = await ended(api, one["rebuild_id"])
        assert (looked["state"], looked["generation"]) == ("done", 3)
        session = (await api.post("/v1/rebuilds", json={"session_id": "nope"})).json()
        failed = await ended(api, session["rebuild_id"])
        assert failed["state"] == "failed"
        assert "default:nope has no archived events" in failed["error"]
    items = (await api.get("/v1/rebuilds")).json()["items"]
    numbers = [each["rebuild_id"] for each in items]
    assert [each["state"] for each in items] == ["failed", "done", "done"]
    assert numbers == sorted(numbers, reverse=True)
    first = (await api.get("/v1/rebuilds?limit=2")).json()
    assert first["has_more"]
    rest = (await api.get("/v1/rebuilds", params={"cursor": first["next_cursor"]})).json()
    assert [each["rebuild_id"] for each in rest["items"]] == numbers[2:]


async def test_the_same_key_asks_once(filled: Stage, api: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "k1"}
    first = await api.post("/v1/rebuilds", json={}, headers=headers)
    second = await api.post("/v1/rebuilds", json={}, headers=headers)
    assert (first.status_code, second.status_code) == (202, 200)
    assert first.json() == second.json()
    other = await api.post("/v1/rebuilds", json={"session_id": "s1"}, headers=headers)
    problem(other, 422, "key-reused")


@pytest.mark.parametrize(
    "body",
    [
        {"until": "3"},
        {"until": "yesterday"},
        {"name": "x"},
        {"session_id": "a b"},
        {"all": True},
        {"until": "2026-01-31T12:00:00"},
    ],
)
async def test_what_cannot_be_asked_for(api: httpx.AsyncClient, body: dict[str, Any]) -> None:
    problem(await api.post("/v1/rebuilds", json=body), 422, "invalid")


async def test_one_that_does_not_exist(api: httpx.AsyncClient) -> None:
    for number in ("7", "x", "9" * 30):
        problem(await api.get(f"/v1/rebuilds/{number}"), 404, "not-found")
        problem(await api.delete(f"/v1/rebuilds/{number}"), 404, "not-found")


async def test_one_that_waits_is_cancelled_at_once(filled: Stage, api: httpx.AsyncClient) -> None:
    first = (await api.post("/v1/rebuilds", json={})).json()["rebuild_id"]
    cancelled = await api.delete(f"/v1/rebuilds/{first}")
    assert (cancelled.status_code, cancelled.json()["state"]) == (202, "cancelled")
    second = (await api.post("/v1/rebuilds", json={})).raise_for_status().json()["rebuild_id"]
    with projector(filled):
        assert (await ended(api, second))["state"] == "done"
    assert (await api.get(f"/v1/rebuilds/{first}")).json()["state"] == "cancelled"
    assert generations(filled) == [(1, "kept"), (2, "live")]


@contextmanager
def held_up(stage: Stage) -> Iterator[None]:
    """Rebuilds come as far as the flip and wait there."""
    with psycopg.connect(stage.postgres_url) as connection:
        connection.execute("SELECT FROM turnlog.offsets FOR UPDATE")
        yield


async def test_one_that_runs_is_cancelled_and_leaves_nothing(
    filled: Stage, api: httpx.AsyncClient
) -> None:
    number = (await api.post("/v1/rebuilds", json={})).json()["rebuild_id"]
    with projector(filled), held_up(filled):
        await running(api, number, "flip")
        assert generations(filled) == [(1, "live"), (2, "building")]
        assert (await api.delete(f"/v1/rebuilds/{number}")).json()["cancel"]
        assert (await ended(api, number))["state"] == "cancelled"
        assert generations(filled) == [(1, "live")]


def process() -> int:
    """The process that rebuilds."""
    [found] = [each for each in multiprocessing.active_children() if each.name == "rebuild"]
    assert found.pid is not None
    return found.pid


@pytest.mark.parametrize(("attempts", "state"), [(3, "done"), (1, "failed")])
async def test_one_whose_process_died_is_begun_again_but_not_for_ever(
    filled: Stage,
    api: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    attempts: int,
    state: str,
) -> None:
    monkeypatch.setattr(rebuild_duty, "_AGAIN_SECONDS", 0.0)
    monkeypatch.setattr(rebuild_duty, "_ATTEMPTS", attempts)
    number = (await api.post("/v1/rebuilds", json={})).json()["rebuild_id"]
    with projector(filled):
        with held_up(filled):
            await running(api, number, "flip")
            os.kill(process(), signal.SIGKILL)
        item = await ended(api, number)
    assert item["state"] == state
    if state == "done":
        assert (item["attempts"], item["former"]) == (2, 1)
        assert [each for _, each in generations(filled)] == ["kept", "live"]
    else:
        assert "died 1 times" in item["error"]
        assert generations(filled) == [(1, "live")]


async def test_one_that_a_projector_leaves_is_begun_again(
    filled: Stage, api: httpx.AsyncClient
) -> None:
    number = (await api.post("/v1/rebuilds", json={})).json()["rebuild_id"]
    with held_up(filled), projector(filled):
        await running(api, number, "flip")
    left = (await api.get(f"/v1/rebuilds/{number}")).json()
    assert (left["state"], left["attempts"]) == ("waiting", 0)
    assert generations(filled) == [(1, "live")]
    with projector(filled):
        assert (await ended(api, number))["state"] == "done"


async def test_one_waits_for_a_replay_of_somebody_else(
    filled: Stage, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuild_duty, "_AGAIN_SECONDS", 0.0)
    number = (await api.post("/v1/rebuilds", json={})).json()["rebuild_id"]
    with replay_connection(filled.postgres_url), projector(filled):
        await running(api, number, "another replay is under way; wait for it, or stop it")
    with projector(filled):
        assert (await ended(api, number))["state"] == "done"


async def test_what_is_not_proven_fails(filled: Stage, api: httpx.AsyncClient) -> None:
    filled.connection.execute("UPDATE turnlog.archive SET bytes = bytes || ' ' WHERE seq = 3")
    number = (await api.post("/v1/rebuilds", json={})).json()["rebuild_id"]
    with projector(filled):
        failed = await ended(api, number)
    assert failed["state"] == "failed"
    assert "the archive was changed" in failed["error"]
    assert generations(filled) == [(1, "live")]


def test_the_role_of_the_api_can_ask_and_no_more(filled: Stage) -> None:
    refused: list[str] = []
    with psycopg.connect(with_role(filled.postgres_url), autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        connection.execute("INSERT INTO turnlog.rebuilds (requested_by) VALUES ('x')")
        connection.execute("UPDATE turnlog.rebuilds SET cancel = true")
        for statement in (
            "INSERT INTO turnlog.rebuilds (state) VALUES ('done')",
            "UPDATE turnlog.rebuilds SET state = 'done'",
            "DELETE FROM turnlog.rebuilds",
            "UPDATE turnlog.generations SET state = 'live'",
            "UPDATE turnlog.active SET generation = 1",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
            refused.append(statement)
    assert len(refused) == 5


async def test_rebuilds_of_a_session_are_shown_to_its_tenant(
    filled: Stage, guarded: httpx.AsyncClient, users: Users
) -> None:
    ours, theirs = (users.headers("op", scope="admin", tenant=name) for name in ("one", "two"))
    body = {"session_id": "s"}
    number = (await guarded.post("/v1/rebuilds", json=body, headers=ours)).json()["rebuild_id"]
    path = f"/v1/rebuilds/{number}"
    assert (await guarded.get(path, headers=ours)).json()["requested_by"] == "op"
    problem(await guarded.get(path, headers=theirs), 404, "not-found")
    problem(await guarded.delete(path, headers=theirs), 404, "not-found")
    assert (await guarded.get("/v1/rebuilds", headers=theirs)).json()["items"] == []
    assert not (await guarded.get(path, headers=ours)).json()["cancel"]
    for scope in ("", "service"):
        headers = users.headers("me", scope=scope)
        problem(await guarded.post("/v1/rebuilds", json={}, headers=headers), 403, "forbidden")
