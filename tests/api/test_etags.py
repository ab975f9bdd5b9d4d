"""An answer that a client has is not sent again, and none is called the same that is not."""

import random
from typing import Any

import httpx
import pytest
from appending import event, turn
from served import Stage, Users, serving
from test_strong import some_events

from turnlog_api.etags import session_tag

pytestmark = pytest.mark.integration
HELLO = {"role": "user", "content": "Hello"}
TURNS = "/v1/sessions/s/turns"


def tag_of(answer: httpx.Response) -> dict[str, str]:
    """The header by which a client asks whether its answer still holds."""
    return {"If-None-Match": answer.headers["etag"]}


async def test_an_answer_that_is_known_is_not_sent_again(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    await api.post(TURNS, json=HELLO)
    stage.project()
    for url in ("/v1/sessions", "/v1/sessions/s", TURNS, "/v1/projects"):
        first = await api.get(url)
        assert first.headers["cache-control"] == "private, no-cache"
        again = await api.get(url, headers=tag_of(first))
        assert again.status_code == 304, url
        assert again.content == b""
        assert again.headers["etag"] == first.headers["etag"]
        assert again.headers.get("turnlog-seq") == first.headers.get("turnlog-seq")
        assert "content-type" not in again.headers
        for known in ("*", f'"x", {first.headers["etag"]}', first.headers["etag"][2:]):
            assert (await api.get(url, headers={"If-None-Match": known})).status_code == 304
        for unknown in ('"x"', 'W/""', "", "x,y"):
            assert (await api.get(url, headers={"If-None-Match": unknown})).status_code == 200
        await api.post(TURNS, json=HELLO)
        stage.project()
        assert (await api.get(url, headers=tag_of(first))).status_code == 200


async def test_errors_and_writes_have_no_tag(api: httpx.AsyncClient, stage: Stage) -> None:
    written = await api.post(TURNS, json=HELLO, headers={"If-None-Match": "*"})
    assert written.status_code == 201
    missing = await api.get("/v1/sessions/none", headers={"If-None-Match": "*"})
    assert missing.status_code == 404
    for answer in (written, missing):
        assert "etag" not in answer.headers


async def test_a_tag_does_not_open_the_session_of_another(stage: Stage, users: Users) -> None:
    async with serving(stage, auth="jwt", jwt_secret=users.secret) as api:
        mine = users.headers("me")
        await api.post("/v1/sessions", json={"session_id": "s"}, headers=mine)
        stage.project()
        known = tag_of(await api.get("/v1/sessions/s", headers=mine))
        other = await api.get("/v1/sessions/s", headers=users.headers("other") | known)
        assert other.status_code == 404


async def test_a_rebuilt_generation_has_the_same_tags(api: httpx.AsyncClient, stage: Stage) -> None:
    stage.append("s", some_events(random.Random(7), 20))
    stage.project()
    tags = [(url, tag_of(await api.get(url))) for url in ("/v1/sessions/s", TURNS, "/v1/sessions")]
    for table in ("sessions", "turns", "branches"):
        stage.connection.execute(f"CREATE TABLE copy_{table} AS SELECT * FROM g1.{table}")  # pyright: ignore[reportArgumentType]
        stage.connection.execute(f"DELETE FROM g1.{table}")  # pyright: ignore[reportArgumentType]
        stage.connection.execute(f"INSERT INTO g1.{table} SELECT * FROM copy_{table}")  # pyright: ignore[reportArgumentType]
    for url, known in tags:
        assert (await api.get(url, headers=known)).status_code == 304


@pytest.mark.parametrize("seed", range(3))
async def test_not_changed_means_not_changed(
    api: httpx.AsyncClient, stage: Stage, seed: int
) -> None:
    """A client keeps what it got and asks again between any two events, whichever way."""
    chance = random.Random(seed)
    kept: dict[tuple[str, str], httpx.Response] = {}
    answered = 0
    requests: list[tuple[str, dict[str, Any]]] = [
        ("/v1/sessions", {}),
        ("/v1/sessions", {"limit": 1}),
        ("/v1/sessions/s", {}),
        (TURNS, {}),
        (TURNS, {"order": "desc", "limit": 3}),
        (TURNS, {"include": "retracted"}),
    ]
    for made in some_events(chance, 25):
        stage.append("s", [made], owner="u")
        if chance.random() < 0.2:
            stage.append("other", [turn(f"o{chance.random()}")])
        if chance.random() < 0.6:
            stage.project()
        for url, params in requests:
            strong = {"consistency": "strong"} if "/s" in url[12:] and chance.random() < 0.4 else {}
            fresh = await api.get(url, params={**params, **strong})
            if fresh.status_code != 200:
                continue
            # The tags of other requests, too: those of a client that mixes them up.
            for old in kept.values():
                again = await api.get(url, params={**params, **strong}, headers=tag_of(old))
                same_seq = old.headers.get("turnlog-seq") == fresh.headers.get("turnlog-seq")
                if again.status_code == 304:
                    answered += 1
                    assert old.content == fresh.content
                else:
                    assert old.content != fresh.content or not same_seq
            kept[url, str(params)] = fresh
    assert answered > 20


def test_a_tag_tells_seq_length_and_bytes_apart() -> None:
    bodies = [b"", b"a", b"b", b"ab", b"ba", b"\0", b"\0\0"]
    tags = {session_tag(body, seq) for body in bodies for seq in (1, 11, 111)}
    assert len(tags) == len(bodies) * 3


async def test_a_change_at_the_same_seq_is_seen(api: httpx.AsyncClient, stage: Stage) -> None:
    stage.append("s", [event("session.started"), turn("t", "secret")])
    stage.project()
    first = await api.get(TURNS)
    stage.connection.execute("UPDATE g1.turns SET body = replace(body, 'secret', 'gone--')")
    assert (await api.get(TURNS, headers=tag_of(first))).status_code == 200
