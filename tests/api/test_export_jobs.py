"""Exports of many sessions: asked for, run by a process of its own, read, removed, expired."""

import asyncio
import json
import multiprocessing
import os
import signal
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import psycopg
import pytest
from appending import event, turn
from served import Stage, Users, problem, serving
from servers import wait_until_async
from writing_files import read_csv

from turnlog_api import exportduty
from turnlog_api.reading import with_role
from turnlog_api.scope import Scope
from turnlog_api.statements import sql

pytestmark = pytest.mark.integration
LEASE = 2.0


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The API looks for exports all the time."""
    monkeypatch.setattr(exportduty, "_LOOK_S", 0.05)


@pytest.fixture
def filled(stage: Stage) -> Stage:
    """Sessions of two users; one deleted, one archived, one shared; a second tenant."""
    for number in range(12):
        about = {"user_id": f"u{number % 2}", "project": "p" if number < 4 else None}
        visibility = {"visibility": "tenant"} if number == 3 else {}
        begun = event("session.started", {**about, **visibility, "title": f"=T{number}"})
        turns = [turn(f"t{n}", f"text {number} {n}") for n in range(number)]
        stage.append(f"s{number}", [begun, *turns], owner=about["user_id"] or "")
    stage.append("s5", [event("session.deleted")])
    stage.append("s6", [event("session.updated", {"archived": True})])
    started = event("session.started", {"user_id": "u0"})
    stage.writer("other").append("s0", started, turn("t", "theirs"), owner="u0")
    stage.project()
    return stage


@pytest.fixture
async def api(filled: Stage) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(filled, lease_seconds=LEASE) as client:
        yield client


async def ask(api: httpx.AsyncClient, headers: Any = None, **body: Any) -> dict[str, Any]:
    answer = await api.post("/v1/exports", json=body, headers=headers)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/v1/exports/{answer.json()['export_id']}"
    return answer.json()


async def ended(api: httpx.AsyncClient, export_id: str, headers: Any = None) -> dict[str, Any]:
    """The export, when it has come to its end."""

    async def looked() -> dict[str, Any] | None:
        item = (await api.get(f"/v1/exports/{export_id}", headers=headers)).raise_for_status()
        return item.json() if item.json()["state"] not in ("waiting", "running") else None

    found = await wait_until_async(looked, "the export has ended")
    assert found is not None
    return found


async def made(api: httpx.AsyncClient, headers: Any = None, **body: Any) -> tuple[Any, str]:
    """The item and the file of an export that comes to its end."""
    item = await ended(api, (await ask(api, headers, **body))["export_id"], headers)
    assert item["state"] == "done", item
    file = await api.get(item["file"], headers=headers)
    assert file.status_code == 200
    return item, file.content.decode()


def sessions_of(document: str) -> list[str]:
    return [each["session"]["session_id"] for each in json.loads(document)["sessions"]]


async def test_every_session_of_the_tenant_comes_once(api: httpx.AsyncClient) -> None:
    item, text = await made(api, format="json")
    listed = (await api.get("/v1/sessions")).json()["items"]
    assert sessions_of(text) == [each["session_id"] for each in listed]
    assert len(listed) == 11
    assert (item["sessions"], item["total_sessions"], item["missing"]) == (11, 11, 0)
    assert item["done"] == item["total"] == sum(range(12)) - 5
    assert (item["bytes"], item["attempts"], item["error"]) == (len(text.encode()), 1, None)
    assert item["options"]["format"] == "json"


@pytest.mark.parametrize("format_", ["jsonl", "csv", "md"])
async def test_every_format(api: httpx.AsyncClient, format_: str) -> None:
    item, text = await made(api, format=format_)
    assert item["sessions"] == 11
    assert item["done"] == item["total"]
    assert all(f"text {number} {number - 1}" in text for number in (1, 4, 11))
    if format_ == "csv":
        rows = read_csv(text)
        assert len(rows) == item["done"]
        assert {row["title"] for row in rows} >= {"=T4", "=T11"}
    if format_ == "jsonl":
        assert len(text.splitlines()) == item["done"]


@pytest.mark.parametrize(
    "filters",
    [
        {"user_id": "u1"},
        {"project": "p"},
        {"archived": True},
        {"archived": False, "user_id": "u0"},
        {"since": "2999-01-01T00:00:00Z"},
        {"until": "2999-01-01T00:00:00+01:00"},
    ],
)
async def test_filters_are_those_of_the_list(api: httpx.AsyncClient, filters: Any) -> None:
    item, text = await made(api, format="json", **filters)
    listed = (await api.get("/v1/sessions", params=filters)).json()["items"]
    assert sessions_of(text) == [each["session_id"] for each in listed]
    assert item["total_sessions"] == len(listed)


async def test_sessions_by_name(api: httpx.AsyncClient) -> None:
    item, text = await made(api, format="json", session_ids=["s9", "s5", "none", "s9"])
    assert sessions_of(text) == ["s9", "s5"]
    assert (item["sessions"], item["missing"], item["total_sessions"]) == (2, 1, 3)


async def test_many_sessions_are_walked_through(filled: Stage, api: httpx.AsyncClient) -> None:
    writer = filled.writer()
    for number in range(1100):
        writer.append(f"many-{number}", turn("t", f"text {number}"))
    filled.project()
    item, text = await made(api, format="json")
    found = sessions_of(text)
    assert len(found) == len(set(found)) == item["sessions"] == 1111


@pytest.mark.parametrize("coding", ["identity", "gzip", "zstd"])
async def test_a_large_file_comes_whole_and_in_ranges(
    filled: Stage, api: httpx.AsyncClient, coding: str
) -> None:
    for start in range(4):
        texts = [os.urandom(60_000).hex() for _ in range(8)]
        turns = [turn(f"x{start}.{n}", text) for n, text in enumerate(texts)]
        filled.writer().append("large", *turns)
    filled.project()
    item = await ended(api, (await ask(api, format="jsonl", session_ids=["large"]))["export_id"])
    assert item["bytes"] > 3 * 1024 * 1024
    answer = await api.get(item["file"], headers={"Accept-Encoding": coding})
    text = answer.content
    assert len(text) == item["bytes"]
    assert [json.loads(line)["seq"] for line in text.splitlines()] == list(range(1, 33))
    if coding != "identity":
        assert answer.headers["content-encoding"] == coding
        assert answer.headers["etag"].startswith("W/")
        assert "content-length" not in answer.headers
        return
    tag = answer.headers["etag"]
    assert (answer.headers["content-length"], tag[0]) == (str(len(text)), '"')
    name = f'attachment; filename="turnlog-export-{item["export_id"]}.jsonl"'
    assert answer.headers["content-disposition"] == name
    middle = 1024 * 1024
    for asked, first, last in (
        ("0-0", 0, 0),
        (f"{middle - 3}-{middle + 2}", middle - 3, middle + 2),
        (f"{middle}-", middle, len(text) - 1),
        ("-5", len(text) - 5, len(text) - 1),
        (f"10-{10**15}", 10, len(text) - 1),
        (f"-{10**15}", 0, len(text) - 1),
    ):
        headers = {"Range": f"bytes={asked}", "If-Range": tag}
        part = await api.get(item["file"], headers=headers)
        assert part.status_code == 206, asked
        assert part.headers["content-range"] == f"bytes {first}-{last}/{len(text)}"
        assert part.content == text[first : last + 1], asked
        assert "content-encoding" not in part.headers
    for headers in (
        {"Range": "bytes=5-", "If-Range": '"other"'},
        {"Range": "bytes=5-4"},
        {"Range": "bytes=1-2,4-5"},
        {"Range": "lines=1-2"},
        {"Range": "bytes=-"},
    ):
        assert (await api.get(item["file"], headers=headers)).content == text
    refused = await api.get(item["file"], headers={"Range": f"bytes={len(text)}-"})
    problem(refused, 416, "bad-range")
    assert refused.headers["content-range"] == f"bytes */{len(text)}"
    known = await api.get(item["file"], headers={"If-None-Match": f"W/{tag}"})
    assert (known.status_code, known.content) == (304, b"")


async def test_an_empty_file(api: httpx.AsyncClient) -> None:
    item, text = await made(api, format="jsonl", user_id="nobody")
    assert (text, item["bytes"], item["sessions"]) == ("", 0, 0)
    answer = await api.get(item["file"], headers={"Range": "bytes=0-"})
    problem(answer, 416, "bad-range")


async def test_the_same_key_asks_once(api: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "k1"}
    first = await ask(api, headers, format="csv", project="p")
    again = await api.post("/v1/exports", json={"format": "csv", "project": "p"}, headers=headers)
    assert (again.status_code, again.json()["export_id"]) == (200, first["export_id"])
    other = await api.post("/v1/exports", json={"format": "csv"}, headers=headers)
    problem(other, 422, "key-reused")
    assert len((await api.get("/v1/exports")).json()["items"]) == 1


async def test_lists_have_pages(api: httpx.AsyncClient) -> None:
    made_ = [(await made(api, format="md", user_id=f"u{n}"))[0]["export_id"] for n in range(5)]
    first = (await api.get("/v1/exports?limit=3")).json()
    rest = (await api.get("/v1/exports", params={"cursor": first["next_cursor"]})).json()
    assert first["has_more"]
    assert not rest["has_more"]
    assert [each["export_id"] for each in first["items"] + rest["items"]] == made_[::-1]
    problem(await api.get("/v1/exports?cursor=x"), 400, "bad-cursor")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"format": "xml"},
        {"format": "csv", "session_ids": []},
        {"format": "csv", "session_ids": ["a b"]},
        {"format": "csv", "session_ids": [f"s{n}" for n in range(1001)]},
        {"format": "csv", "session_ids": ["s1"], "project": "p"},
        {"format": "csv", "since": "yesterday"},
        {"format": "csv", "archived": "yes"},
        {"format": "csv", "user_id": "\0"},
        {"format": "csv", "all": True},
    ],
)
async def test_what_cannot_be_asked_for(api: httpx.AsyncClient, body: dict[str, Any]) -> None:
    problem(await api.post("/v1/exports", json=body), 422, "invalid")


async def test_one_that_does_not_exist(api: httpx.AsyncClient) -> None:
    for name in ("none", "a%20b", "9" * 200):
        for path in (f"/v1/exports/{name}", f"/v1/exports/{name}/file"):
            problem(await api.get(path), 404, "not-found")
        problem(await api.delete(f"/v1/exports/{name}"), 404, "not-found")


def chunks(stage: Stage) -> int:
    row = stage.connection.execute("SELECT count(*) FROM turnlog.export_chunks").fetchone()
    assert row is not None
    return row[0]


class Held:
    """Exports come as far as their first turn and wait there."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._connection = psycopg.connect(stage.postgres_url)
        self._connection.execute("LOCK g1.turns")

    async def running(self, api: httpx.AsyncClient, export_id: str) -> int:
        """The process that runs it, when it is at that point."""

        async def waiting() -> int | None:
            item = (await api.get(f"/v1/exports/{export_id}")).json()
            alive = processes()
            here = item["state"] == "running" and self._blocked() and len(alive) == 1
            return alive[0] if here else None

        found = await wait_until_async(waiting, "one process waits for its first turn")
        assert found is not None
        return found

    def _blocked(self) -> bool:
        row = self._stage.connection.execute(
            "SELECT count(*) FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)"
            " WHERE NOT l.granted AND l.relation = 'g1.turns'::regclass"
            " AND a.application_name = 'turnlog api export'"
        ).fetchone()
        return row is not None and row[0] > 0

    def release(self) -> None:
        self._connection.close()


def processes() -> list[int]:
    """Those that export."""
    children = [each for each in multiprocessing.active_children() if each.is_alive()]
    return [each.pid for each in children if each.name == "turnlog export" and each.pid]


@pytest.fixture
def held(filled: Stage) -> Any:
    made: list[Held] = []

    def hold() -> Held:
        made.append(Held(filled))
        return made[-1]

    yield hold
    for each in made:
        each.release()


Hold = Callable[[], Held]


async def test_one_that_runs_is_removed_and_leaves_nothing(
    filled: Stage, api: httpx.AsyncClient, held: Hold
) -> None:
    hold = held()
    export_id = (await ask(api, format="csv"))["export_id"]
    await hold.running(api, export_id)
    problem(await api.get(f"/v1/exports/{export_id}/file"), 409, "export-not-done")
    assert (await asyncio.to_thread(hold.release)) is None
    removed = await api.delete(f"/v1/exports/{export_id}")
    assert (removed.status_code, removed.content) == (204, b"")
    problem(await api.get(f"/v1/exports/{export_id}"), 404, "not-found")
    await wait_until_async(
        lambda: asyncio.to_thread(lambda: not processes()), "its process has ended"
    )
    assert chunks(filled) == 0


async def test_a_done_one_is_removed_with_its_file(filled: Stage, api: httpx.AsyncClient) -> None:
    item, _ = await made(api, format="csv")
    assert chunks(filled) == 1
    assert (await api.delete(f"/v1/exports/{item['export_id']}")).status_code == 204
    assert chunks(filled) == 0
    problem(await api.get(item["file"]), 404, "not-found")


async def test_one_whose_process_was_killed_is_begun_again(
    filled: Stage, api: httpx.AsyncClient, held: Hold
) -> None:
    hold = held()
    export_id = (await ask(api, format="json"))["export_id"]
    os.kill(await hold.running(api, export_id), signal.SIGKILL)
    hold.release()
    item = await ended(api, export_id)
    assert (item["state"], item["attempts"]) == ("done", 2)
    assert len(sessions_of((await api.get(item["file"])).text)) == 11
    assert chunks(filled) == 1


async def test_one_whose_process_dies_each_time_fails(
    filled: Stage, api: httpx.AsyncClient, held: Hold
) -> None:
    hold = held()
    export_id = (await ask(api, format="json"))["export_id"]
    await hold.running(api, export_id)
    filled.connection.execute("UPDATE turnlog.exports SET attempts = 3")
    os.kill(await hold.running(api, export_id), signal.SIGKILL)
    hold.release()
    item = await ended(api, export_id)
    assert item["state"] == "failed"
    assert "its process died 3 times" in item["error"]
    assert chunks(filled) == 0
    problem(await api.get(f"/v1/exports/{export_id}/file"), 409, "export-not-done")


async def test_one_is_taken_on_by_another_server(filled: Stage, held: Hold) -> None:
    hold = held()
    async with serving(filled, lease_seconds=LEASE) as first:
        export_id = (await ask(first, format="json"))["export_id"]
        await hold.running(first, export_id)
    row = filled.connection.execute("SELECT state, attempts FROM turnlog.exports").fetchone()
    assert row == ("waiting", 0)
    hold.release()
    async with serving(filled, lease_seconds=LEASE) as second:
        item = await ended(second, export_id)
        assert (item["state"], item["attempts"]) == ("done", 1)
        assert len(sessions_of((await second.get(item["file"])).text)) == 11


async def test_nobody_writes_for_an_export_that_was_taken_away(
    filled: Stage, api: httpx.AsyncClient
) -> None:
    """A process that was stopped for long comes back, and finds that another one has done it."""
    item, text = await made(api, format="csv")
    filled.connection.execute("UPDATE turnlog.exports SET state = 'running', attempts = 2")
    tells = {**dict.fromkeys(("sessions", "total_sessions", "missing", "done", "total"), 0)}
    params = {"export_id": item["export_id"], "attempt": 1, "lease_s": 5.0, "bytes": 9, **tells}
    params |= {"part": 7, "session_ids": ["s"], "data": b"x"}
    with psycopg.connect(with_role(filled.postgres_url), autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        reader = Scope("default").settings()
        connection.execute(sql("read_as", 0).replace("true", "false"), reader)
        assert connection.execute(sql("export_put_part", 0), params).fetchone() is None
        ends = {**params, "state": "done", "keep_s": 1.0, "error": None}
        assert connection.execute(sql("export_end", 0), ends).fetchone() is None
    assert chunks(filled) == 1
    assert text


async def test_files_expire(filled: Stage, api: httpx.AsyncClient) -> None:
    item, _ = await made(api, format="csv")
    kept = json.loads(json.dumps(item))
    assert kept["expires_at"] > kept["ended_at"]
    filled.connection.execute("UPDATE turnlog.exports SET expires_at = now() - interval '1 s'")
    await state_of(api, item, "expired")
    problem(await api.get(item["file"]), 410, "export-expired")
    assert chunks(filled) == 0
    filled.connection.execute("UPDATE turnlog.exports SET expires_at = now() - interval '1 s'")

    async def gone() -> bool:
        return (await api.get("/v1/exports")).json()["items"] == []

    await wait_until_async(gone, "the row is gone")


async def state_of(api: httpx.AsyncClient, item: dict[str, Any], state: str) -> dict[str, Any]:
    async def looked() -> dict[str, Any] | None:
        found = (await api.get(f"/v1/exports/{item['export_id']}")).json()
        return found if found["state"] == state else None

    found = await wait_until_async(looked, f"the export is {state}")
    assert found is not None
    return found


async def test_an_erasure_takes_the_files_that_hold_it(
    filled: Stage, api: httpx.AsyncClient
) -> None:
    touched, _ = await made(api, format="md", session_ids=["s4", "s7"])
    other, _ = await made(api, format="md", session_ids=["s8"])
    filled.append("s7", [event("turn.erased", {"turn_id": "t3"})])
    filled.project()
    filled.connection.execute("UPDATE turnlog.exports SET checked_at = now() - interval '20 s'")
    found = await state_of(api, touched, "expired")
    assert "was erased" in found["error"]
    problem(await api.get(touched["file"]), 410, "export-expired")
    assert (await api.get(other["file"])).status_code == 200


async def test_so_many_at_once_and_no_more(filled: Stage, held: Hold) -> None:
    hold = held()
    async with serving(filled, lease_seconds=LEASE, exports_per_user=2) as api:
        await ask(api, format="csv")
        second = await ask(api, format="csv")
        refused = await api.post("/v1/exports", json={"format": "csv"})
        assert problem(refused, 429, "too-many-exports")["limit"] == 2
        assert refused.headers["retry-after"]
        await ask(api, {"Turnlog-User": "u1"}, format="csv")
        await api.delete(f"/v1/exports/{second['export_id']}")
        await ask(api, format="csv")
        hold.release()


async def test_everybody_asks_for_what_is_theirs(
    filled: Stage, guarded: httpx.AsyncClient, users: Users
) -> None:
    mine, other = users.headers("u1"), users.headers("u0")
    item, text = await made(guarded, mine, format="json")
    listed = (await guarded.get("/v1/sessions", headers=mine)).json()["items"]
    assert sessions_of(text) == [each["session_id"] for each in listed]
    assert item["total_sessions"] == len(listed) == 5
    assert item["requested_by"] == "u1"
    theirs, text = await made(guarded, other, format="json")
    assert "s3" in sessions_of(text), "it is shared with the tenant"
    named, text = await made(guarded, other, format="jsonl", session_ids=["s1", "s3", "s2"])
    assert (named["missing"], named["sessions"]) == (1, 2)
    assert "text 1 " not in text
    elsewhere, text = await made(guarded, users.headers("u1", tenant="other"), format="jsonl")
    assert (elsewhere["sessions"], text) == (0, "")
    for headers in (
        other,
        users.headers("u1", tenant="other"),
        users.headers("ops", tenant="other", scope="admin"),
        users.headers("svc", scope="service") | {"Turnlog-User": "u0"},
    ):
        for method, path in (
            ("GET", f"/v1/exports/{item['export_id']}"),
            ("GET", item["file"]),
            ("DELETE", f"/v1/exports/{item['export_id']}"),
        ):
            problem(await guarded.request(method, path, headers=headers), 404, "not-found")
        ids = [
            each["export_id"]
            for each in (await guarded.get("/v1/exports", headers=headers)).json()["items"]
        ]
        assert item["export_id"] not in ids
    for headers in (
        users.headers("svc", scope="service"),
        users.headers("svc", scope="service") | {"Turnlog-User": "u1"},
    ):
        assert (await guarded.get(item["file"], headers=headers)).status_code == 200
    assert theirs["export_id"] != item["export_id"]


async def test_postgres_shows_exports_to_nobody_else(
    filled: Stage, guarded: httpx.AsyncClient, users: Users
) -> None:
    await made(guarded, users.headers("u1"), format="csv")
    counts: list[Any] = []
    with psycopg.connect(with_role(filled.postgres_url), autocommit=True) as connection:
        for scope in (
            Scope("default", "u1"),
            Scope("default"),
            Scope("default", "u0"),
            Scope("other", "u1"),
            Scope("other"),
            Scope("default", only_session="s1"),
        ):
            with connection.transaction():
                connection.execute(sql("read_as", 0), scope.settings())
                row = connection.execute(
                    "SELECT (SELECT count(*) FROM turnlog.exports),"
                    " (SELECT count(*) FROM turnlog.export_chunks)"
                ).fetchone()
                counts.append(row)
    assert counts == [(1, 1), (1, 1), (0, 0), (0, 0), (0, 0), (0, 0)]


async def test_an_export_shows_one_moment(filled: Stage, held: Hold) -> None:
    hold = held()
    async with serving(filled, lease_seconds=60) as api:
        export_id = (await ask(api, format="json"))["export_id"]
        process = await hold.running(api, export_id)
        os.kill(process, signal.SIGSTOP)
        hold.release()
        filled.append("s11", [turn("later", "too late")])
        filled.project()
        os.kill(process, signal.SIGCONT)
        item = await ended(api, export_id)
        assert item["attempts"] == 1
        text = (await api.get(item["file"])).text
        assert "too late" not in text
        assert "s11" in sessions_of(text)
