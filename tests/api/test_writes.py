"""Writes: what they append, and that a repeat appends nothing."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from served import PARTITIONS, Stage, problem, serving

from turnlog_producers.head import Head
from turnlog_producers.keys import Keys, heads_key

pytestmark = pytest.mark.integration
TURNS = "/v1/sessions/s/turns"
HELLO = {"role": "user", "content": "Hello"}


def as_user(user: str, **more: str) -> dict[str, str]:
    return {"Turnlog-User": user, **more}


def head_of(stage: Stage, session_id: str = "s") -> Head:
    keys = Keys("default", session_id, PARTITIONS)
    value: Any = stage.client.hget(keys.heads, keys.field)
    return Head.parse(value)


async def begin(api: httpx.AsyncClient, **headers: str) -> httpx.Response:
    body = {"session_id": "s", "project": "sales"}
    return await api.post("/v1/sessions", json=body, headers=as_user("u", **headers))


async def test_a_session_begins_and_takes_turns(api: httpx.AsyncClient, stage: Stage) -> None:
    begun = await begin(api)
    assert begun.status_code == 201
    assert begun.json()["seq"] == 1
    turn = await api.post(TURNS, json={**HELLO, "turn_id": "t", "my_field": [1]})
    assert turn.status_code == 201
    assert turn.json() == {
        "session_id": "s",
        "seq": 2,
        "event_id": turn.json()["event_id"],
        "turn_id": "t",
        "repeat": False,
    }
    assert turn.headers["turnlog-head"] == "2"
    assert turn.headers["turnlog-seq"] == "0"
    stage.project()
    session = await api.get("/v1/sessions/s")
    assert session.json()["user_id"] == "u"
    assert session.json()["project"] == "sales"
    assert session.headers["turnlog-seq"] == session.headers["turnlog-head"] == "2"
    [item] = (await api.get(TURNS)).json()["items"]
    assert item["content"] == "Hello"


async def test_a_turn_begins_a_session_of_its_user(api: httpx.AsyncClient, stage: Stage) -> None:
    await api.post(TURNS, json=HELLO, headers=as_user("u"))
    assert head_of(stage).owner == "u"
    stage.project()
    session = (await api.get("/v1/sessions/s")).json()
    assert (session["user_id"], session["turn_count"], session["seq"]) == ("u", 1, 2)


async def test_a_session_id_is_made_up(api: httpx.AsyncClient) -> None:
    first = (await api.post("/v1/sessions", json={})).json()["session_id"]
    second = (await api.post("/v1/sessions", json={})).json()["session_id"]
    assert first != second
    key = {"Idempotency-Key": "k"}
    third = (await api.post("/v1/sessions", json={}, headers=key)).json()
    again = await api.post("/v1/sessions", json={}, headers=key)
    assert again.status_code == 200
    assert again.json() == {**third, "repeat": True}


async def test_a_key_begins_one_session_whatever_the_body_names(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    async def post(key: str, **body: Any) -> httpx.Response:
        return await api.post("/v1/sessions", json=body, headers={"Idempotency-Key": key})

    assert (await post("k", session_id="a")).status_code == 201
    problem(await post("k", session_id="b"), 422, "key-reused")
    problem(await post("k"), 422, "key-reused")
    assert (await post("k", session_id="a")).status_code == 200
    made_up = (await post("l")).json()["session_id"]
    problem(await post("l", session_id="c"), 422, "key-reused")
    assert (await post("l", session_id=made_up)).status_code == 200
    both = await asyncio.gather(*(post("m", session_id=each) for each in ("d", "e") * 5))
    assert sorted(answer.status_code for answer in both) == [200] * 4 + [201] + [422] * 5
    sessions = {field for p in range(PARTITIONS) for field in stage.client.hkeys(heads_key(p))}
    assert len(sessions) == 3


async def test_a_key_that_wrote_nothing_may_begin_another_session(api: httpx.AsyncClient) -> None:
    await begin(api)
    key = {"Idempotency-Key": "k"}
    taken = await api.post("/v1/sessions", json={"session_id": "s"}, headers=key)
    problem(taken, 409, "session-exists")
    free = await api.post("/v1/sessions", json={"session_id": "r"}, headers=key)
    assert free.status_code == 201


async def test_a_taken_session_id_is_a_conflict(api: httpx.AsyncClient, stage: Stage) -> None:
    await begin(api)
    problem(await begin(api), 409, "session-exists")
    other = await api.post("/v1/sessions", json={"session_id": "s"}, headers=as_user("v"))
    problem(other, 409, "session-exists")
    assert head_of(stage).seq == 1


async def test_a_repeated_request_writes_once(api: httpx.AsyncClient, stage: Stage) -> None:
    key = {"Idempotency-Key": "k-1"}
    first = await api.post(TURNS, json=HELLO, headers=key)
    again = await api.post(TURNS, json=HELLO, headers=key)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == {**first.json(), "repeat": True}
    other = {**HELLO, "content": "Bye"}
    problem(await api.post(TURNS, json=other, headers=key), 422, "key-reused")
    elsewhere = await api.post("/v1/sessions/r/turns", json=HELLO, headers=key)
    assert elsewhere.status_code == 201
    someone = await api.post(TURNS, json=HELLO, headers={"Idempotency-Key": "k-2"})
    assert someone.json()["seq"] == 2
    assert head_of(stage).seq == 2


async def test_many_equal_requests_at_once_write_once(api: httpx.AsyncClient, stage: Stage) -> None:
    key = {"Idempotency-Key": "k"}
    answers = await asyncio.gather(*(api.post(TURNS, json=HELLO, headers=key) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
    assert head_of(stage).seq == 1


async def test_a_repeat_is_known_by_the_archive_alone(api: httpx.AsyncClient, stage: Stage) -> None:
    key = {"Idempotency-Key": "k"}
    first = (await api.post(TURNS, json=HELLO, headers=key)).json()
    await api.post(TURNS, json=HELLO)
    stage.project()
    trim(stage, 1)
    again = await api.post(TURNS, json=HELLO, headers=key)
    assert again.status_code == 200
    assert again.json() == {**first, "repeat": True}
    other = await api.post(TURNS, json={**HELLO, "name": "n"}, headers=key)
    problem(other, 422, "key-reused")
    assert head_of(stage).seq == 2


def trim(stage: Stage, upto: int) -> None:
    """Forget the oldest events of session s in Redis, and their ids, as trimming does."""
    keys = Keys("default", "s", PARTITIONS)
    entries: Any = stage.client.xrange(keys.stream, max=f"{upto}-0")
    for id_, fields in entries:
        stage.client.xdel(keys.stream, id_)
        stage.client.hdel(keys.ids, fields[b"i"])
    head = head_of(stage)._replace(base=upto)
    stage.client.hset(keys.heads, keys.field, " ".join(str(field) for field in head))


async def test_if_match_names_the_seq_that_the_session_must_be_at(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    new = {"If-Match": '"0"', "Idempotency-Key": "k"}
    assert (await api.post(TURNS, json=HELLO, headers=new)).status_code == 201
    assert (await api.post(TURNS, json=HELLO, headers=new)).status_code == 200
    found = problem(
        await api.post(TURNS, json=HELLO, headers={"If-Match": '"0"'}), 412, "precondition-failed"
    )
    assert (found["expected"], found["actual"]) == (0, 1)
    fitting = {"If-Match": '"1"'}
    assert (await api.post(TURNS, json=HELLO, headers=fitting)).status_code == 201
    for bad in ("1", "*", '"x"', 'W/"1"', '"-1"', '"99999999999999999999"', '"\u0661"'):
        answer = await api.post(TURNS, json=HELLO, headers=[(b"If-Match", bad.encode())])
        problem(answer, 400, "bad-request")
    assert head_of(stage).seq == 2


async def test_a_session_changes(api: httpx.AsyncClient, stage: Stage) -> None:
    await begin(api)
    patch = {"title": "Revenue", "pinned": True, "archived": True, "metadata": {"a": 1}}
    assert (await api.patch("/v1/sessions/s", json=patch)).status_code == 200
    assert (await api.patch("/v1/sessions/s", json={"visibility": "tenant"})).status_code == 200
    stage.project()
    session = (await api.get("/v1/sessions/s")).json()
    assert {**session, **patch, "visibility": "tenant", "title_source": "user"} == session
    for bad in ({}, {"title": None}, {"title_source": "user"}):
        problem(await api.patch("/v1/sessions/s", json=bad), 422, "invalid")
    found = problem(await api.patch("/v1/sessions/s", json={"titel": "x"}), 422, "invalid")
    assert found["errors"][0]["pointer"] == "/titel"


async def test_only_a_branch_that_is_there_can_be_shown(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    await api.post(TURNS, json={**HELLO, "turn_id": "a"})
    await api.post(TURNS, json={**HELLO, "turn_id": "b"})
    stage.project()
    # Opens a branch that the read models do not know yet.
    await api.post(TURNS, json={**HELLO, "turn_id": "c", "parent_turn_id": "a"})
    before = head_of(stage).seq
    unknown = await api.patch("/v1/sessions/s", json={"branch": "b9", "title": "T"})
    found = problem(unknown, 422, "invalid")
    assert found["errors"] == [{"pointer": "/branch", "detail": "the session has no such branch"}]
    assert head_of(stage).seq == before
    for known in ("b3", "main"):
        answer = await api.patch("/v1/sessions/s", json={"branch": known})
        assert answer.status_code == 200, answer.text
    stage.project()
    turns = (await api.get(TURNS)).json()["items"]
    assert [turn["turn_id"] for turn in turns] == ["a", "b"]
    nobody = await api.patch("/v1/sessions/none", json={"branch": "main"})
    problem(nobody, 404, "not-found")


async def test_a_session_is_deleted_and_restored(api: httpx.AsyncClient, stage: Stage) -> None:
    await begin(api)
    assert (await api.delete("/v1/sessions/s")).status_code == 200
    await api.post(TURNS, json=HELLO)
    stage.project()
    assert (await api.get("/v1/sessions")).json()["items"] == []
    assert (await api.get("/v1/sessions/s")).json()["deleted"]
    assert (await api.post("/v1/sessions/s/restore")).status_code == 201
    stage.project()
    [item] = (await api.get("/v1/sessions")).json()["items"]
    assert item["turn_count"] == 1


async def test_clear_says_how_many_turns_it_hid(api: httpx.AsyncClient, stage: Stage) -> None:
    for _ in range(3):
        await api.post(TURNS, json=HELLO)
    stage.project()
    await api.post(TURNS, json=HELLO)
    key = {"Idempotency-Key": "k"}
    cleared = await api.post("/v1/sessions/s/clear", headers=key)
    assert (cleared.status_code, cleared.json()["hidden"]) == (201, 4)
    again = await api.post("/v1/sessions/s/clear", headers=key)
    assert (again.status_code, again.json()["hidden"]) == (200, None)
    assert (await api.post("/v1/sessions/s/clear")).json()["hidden"] == 0


@pytest.mark.parametrize(
    ("method", "path"),
    [("PATCH", ""), ("DELETE", ""), ("POST", "/restore"), ("POST", "/clear")],
)
async def test_what_does_not_exist_does_not_change(
    api: httpx.AsyncClient, stage: Stage, method: str, path: str
) -> None:
    body = {"title": "x"} if method == "PATCH" else None
    problem(await api.request(method, f"/v1/sessions/s{path}", json=body), 404, "not-found")
    assert not stage.client.exists(Keys("default", "s", PARTITIONS).heads)


async def test_an_acknowledgement_can_wait_for_the_projection(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    stop = asyncio.Event()
    projecting = asyncio.create_task(stage.keep_projecting(stop))
    try:
        for number in range(5):
            answer = await api.post(TURNS, json=HELLO, params={"ack": "projected"})
            assert answer.status_code == 201
            assert int(answer.headers["turnlog-seq"]) >= answer.json()["seq"]
            assert len((await api.get(TURNS)).json()["items"]) == number + 1
    finally:
        stop.set()
        await projecting


async def test_a_write_that_is_not_projected_in_time_still_stands(stage: Stage) -> None:
    async with serving(stage, wait_seconds=0.1) as api:
        answer = await api.post(TURNS, json=HELLO, params={"ack": "projected"})
        assert answer.status_code == 202
        assert answer.json()["seq"] == 1
        assert answer.headers["turnlog-head"] == "1"


async def test_min_seq_waits_for_a_bounded_time(stage: Stage) -> None:
    async with serving(stage, wait_seconds=0.2) as api:
        seq = (await api.post(TURNS, json=HELLO)).json()["seq"]
        for path in (TURNS, "/v1/sessions/s"):
            late = await api.get(path, params={"min_seq": seq})
            problem(late, 504, "not-projected")
            assert late.headers["retry-after"]
            ahead = problem(await api.get(path, params={"min_seq": 2}), 409, "behind-head")
            assert ahead["head"] == 1
            unknown = await api.get("/v1/sessions/other", params={"min_seq": 1})
            problem(unknown, 404, "not-found")
        strong = await api.get(TURNS, params={"min_seq": 1, "consistency": "strong"})
        assert len(strong.json()["items"]) == 1


async def test_min_seq_answers_as_soon_as_it_is_projected(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    for number in range(3):
        seq = (await api.post(TURNS, json=HELLO)).json()["seq"]
        waiting = [asyncio.create_task(api.get(TURNS, params={"min_seq": seq})) for _ in range(5)]
        await asyncio.to_thread(stage.project)
        for found in await asyncio.gather(*waiting):
            assert len(found.json()["items"]) == number + 1


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "bad-request"),
        (b"{", 400, "bad-request"),
        (b'{"role":"user","content":NaN}', 400, "bad-request"),
        (b'{"role":"user","content":"\\ud800"}', 400, "bad-request"),
        (b'{"role":"user","content":"\xff"}', 400, "bad-request"),
        (b'{"role":"user","metadata":' + b'{"a":' * 3000 + b"1" + b"}" * 3001, 400, "bad-request"),
        (b"[]", 422, "invalid"),
        (b"{}", 422, "invalid"),
        (b'{"role":"robot"}', 422, "invalid"),
        (b'{"role":"user","content":5}', 422, "invalid"),
        (b'{"role":"user","turn_id":"a b"}', 422, "invalid"),
        (b'{"role":"user","turn_id":"\\u0000"}', 422, "invalid"),
        (b'{"role":"user","name":"\\u0000"}', 422, "invalid"),
        (b'{"role":"user","at":"yesterday"}', 422, "invalid"),
        (b'{"role":"user","at":"2026-01-01T00:00:00"}', 422, "invalid"),
        (b'{"role":"user","usage":{"input_tokens":-1}}', 422, "invalid"),
    ],
)
async def test_a_bad_body_is_refused_and_nothing_is_written(
    api: httpx.AsyncClient, stage: Stage, body: bytes, status: int, code: str
) -> None:
    headers = {"Content-Type": "application/json"}
    problem(await api.post(TURNS, content=body, headers=headers), status, code)
    assert stage.client.keys("*:s:*") == []


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"role": "user", "content": 5}, ["/content"]),
        ({"role": "user", "content": {"str": 1}}, ["/content"]),
        ({"role": "user", "content": [{"type": "text"}, "x"]}, ["/content/1"]),
        ({"content": "x"}, ["/role"]),
        ({"role": "user", "artifacts": [{"kind": "x"}]}, ["/artifacts/0/id"]),
        (
            {"role": "user", "usage": {"input_tokens": "1"}, "name": 5},
            ["/usage/input_tokens", "/name"],
        ),
        ({"role": "user", "usage": {"a/b~c": -1}}, ["/usage"]),
        ({"role": "user", "actor": {"id": "a"}}, ["/actor/kind"]),
    ],
)
async def test_the_pointers_of_a_problem_lead_into_the_body(
    api: httpx.AsyncClient, body: dict[str, Any], pointers: list[str]
) -> None:
    found = problem(await api.post(TURNS, json=body), 422, "invalid")
    assert {error["pointer"] for error in found["errors"]} == set(pointers)
    assert found["detail"].startswith(tuple(pointers))
    assert len(found["errors"]) == len(pointers)


async def test_a_pointer_escapes_what_pointers_are_made_of(api: httpx.AsyncClient) -> None:
    found = problem(await api.patch("/v1/sessions/s", json={"a/b~c": 1}), 422, "invalid")
    assert [error["pointer"] for error in found["errors"]] == ["/a~1b~0c"]


async def test_what_would_be_kept_without_bounds_is_refused(api: httpx.AsyncClient) -> None:
    await begin(api)
    large = {"metadata": {str(n): n for n in range(257)}}
    for answer in (
        await api.patch("/v1/sessions/s", json=large),
        await api.post("/v1/sessions", json=large),
    ):
        found = problem(answer, 422, "invalid")
        assert found["errors"] == [
            {"pointer": "/metadata", "detail": "holds 257 keys; allowed are 256"}
        ]


async def test_an_error_never_repeats_the_text(api: httpx.AsyncClient) -> None:
    for content in ({"my": "secret"}, 5):
        body = {"role": "user", "content": content, "name": ["secret"], "secret\n": 1}
        answer = await api.post(TURNS, json={**body, "turn_id": 5})
        assert answer.status_code == 422
        assert '"secret"' not in answer.text
        assert "my" not in answer.text


async def test_unusual_text_comes_back_as_it_was(api: httpx.AsyncClient, stage: Stage) -> None:
    for content in ("nul \0 here", "🎈" * 1000, "‏עברית‎ العربية", "x" * 900_000, "", '"\\'):
        await api.post(TURNS, json={"role": "user", "content": content})
    stage.project()
    items = (await api.get(TURNS)).json()["items"]
    assert [item["content"] for item in items] == [
        *("nul \0 here", "🎈" * 1000, "‏עברית‎ العربية", "x" * 900_000, "", '"\\')
    ]


async def test_a_large_body_is_refused(stage: Stage) -> None:
    async with serving(stage, max_event_bytes=2000) as api:
        fits = await api.post(TURNS, json={"role": "user", "content": "x" * 1500})
        assert fits.status_code == 201
        event = await api.post(TURNS, json={"role": "user", "content": "x" * 2000})
        problem(event, 413, "too-large")
        body = await api.post(TURNS, json={"role": "user", "content": "x" * 100_000})
        problem(body, 413, "too-large")

        async def endless() -> AsyncIterator[bytes]:
            for _ in range(100):
                yield b'"' + b"x" * 10_000

        headers = {"Content-Type": "application/json"}
        streamed = await api.post(TURNS, content=endless(), headers=headers)
        problem(streamed, 413, "too-large")
        assert head_of(stage).seq == 1


async def test_only_json_is_taken(api: httpx.AsyncClient) -> None:
    for media_type in ("text/plain", "application/x-www-form-urlencoded", ""):
        answer = await api.post(
            TURNS, content=b'{"role":"user"}', headers={"Content-Type": media_type}
        )
        problem(answer, 415, "unsupported-media-type")
    answer = await api.post(
        TURNS,
        content=b'{"role":"user"}',
        headers={"Content-Type": "application/json; charset=utf-8"},
    )
    assert answer.status_code == 201


async def test_odd_ids_are_refused(api: httpx.AsyncClient) -> None:
    for odd in ("a%00b", "a%20b", "%F0%9F%8E%88", "%ff", "a:b", "x" * 129):
        for method, path in (("GET", ""), ("GET", "/turns"), ("DELETE", ""), ("POST", "/clear")):
            answer = await api.request(method, f"/v1/sessions/{odd}{path}")
            problem(answer, 422, "invalid")


async def test_unknown_addresses_and_methods_are_problems(api: httpx.AsyncClient) -> None:
    problem(await api.get("/v1/nothing"), 404, "not-found")
    problem(await api.get("/v1/sessions/s/turns/t/x"), 404, "not-found")
    answer = await api.put("/v1/sessions/s", json={})
    problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "DELETE, GET, PATCH"
