"""Strong reads equal the pure fold of the whole log, however far the projection has come."""

import random
from collections import deque
from typing import Any

import httpx
import pytest
from appending import NewEvent, event, foreign, poison, turn
from pasttruth import Moment, erased_turns, moments_of
from served import PARTITIONS, Stage, all_pages, problem
from truth import read_streams

from turnlog_api import strong
from turnlog_api.logsteps import Decoder, LogEvent
from turnlog_producers.head import Head
from turnlog_producers.keys import Keys
from turnlog_projector.log import SessionKey, StoredEvent
from turnlog_projector.parking import retry
from turnlog_schemas.ids import partition_of
from turnlog_schemas.rows import Session, history, session_item

pytestmark = pytest.mark.integration
STRONG = {"consistency": "strong"}


def folded(stage: Stage, session_id: str = "s") -> Moment:
    """What the log in Redis folds to, with stubs in the place of what it erases."""
    name = ("default", session_id)
    log = [
        LogEvent(StoredEvent(*each), None)
        for each in read_streams(stage.client, [name], PARTITIONS)[name]
    ]
    key = SessionKey(partition_of(*name, PARTITIONS), *name)
    return deque(moments_of(log, Decoder(key, erased=erased_turns(log))), maxlen=1)[0]


def some_events(chance: random.Random, count: int) -> list[NewEvent]:
    """A history with everything that the fold looks back for."""
    made: list[NewEvent] = [event("session.started", {"user_id": "u"})]
    for number in range(count):
        known = f"t{chance.randrange(max(number, 1))}"
        kind = chance.random()
        if kind < 0.5:
            made.append(turn(f"t{number}", f"text {number}"))
        elif kind < 0.6:
            made.append(turn(f"t{number}", parent_turn_id=chance.choice([known, None])))
        elif kind < 0.7:
            made.append(event("turn.edited", {"turn_id": known, "content": f"edit {number}"}))
        elif kind < 0.8:
            made.append(event("turn.retracted", {"turn_id": known}))
        elif kind < 0.84:
            rating = {"turn_id": known, "kind": "rating", "value": number, "by": "u"}
            made.append(event("turn.annotated", rating))
        elif kind < 0.87:
            made.append(event("session.cleared"))
        elif kind < 0.90:
            made.append(event("session.updated", {"branch": chance.choice(["main", "b5"])}))
        elif kind < 0.93:
            made.append(event("turn.erased", {"turn_id": known}))
        elif kind < 0.96:
            started = {"turn_id": f"t{number}", "role": "assistant"}
            made.append(event("turn.started", started))
        else:
            made.append(foreign("a.kind.of.tomorrow", {"x": number}))
    return made


async def check(api: httpx.AsyncClient, stage: Stage, limits: tuple[int, ...] = (3, 1000)) -> None:
    """Session and pages, both ways, equal the fold."""
    session, rows = folded(stage)
    answer = await api.get("/v1/sessions/s", params=STRONG)
    assert answer.json() == session_item(session)
    assert answer.headers["turnlog-seq"] == str(session["seq"])
    expected = list(history(rows, session))
    url = "/v1/sessions/s/turns"
    for limit in limits:
        for order in ("asc", "desc"):
            items: list[Any] = []
            query: dict[str, Any] = {**STRONG, "limit": limit, "order": order}
            while True:
                page = (await api.get(url, params=query)).raise_for_status().json()
                assert page["total_count"] == len(expected) or session["branches"] <= 1
                items += page["items"]
                if page["next_cursor"] is None:
                    break
                query = {**STRONG, "limit": limit, "cursor": page["next_cursor"]}
            assert items == (expected if order == "asc" else expected[::-1])
    shown = {item["turn_id"] for item in expected}
    stubs = {**STRONG, "include": "retracted", "limit": 1000}
    with_stubs = (await api.get(url, params=stubs)).json()["items"]
    assert {item["turn_id"] for item in with_stubs} >= shown
    for branch_id in rows.branches:
        chosen: Session = {**session, "branch_id": branch_id}
        page = (await api.get(url, params={**STRONG, "branch": branch_id, "limit": 1000})).json()
        assert page["items"] == list(history(rows, chosen))
        assert page["total_count"] == len(page["items"])


@pytest.mark.parametrize("seed", range(12))
async def test_a_strong_read_equals_the_fold(
    api: httpx.AsyncClient, stage: Stage, seed: int
) -> None:
    chance = random.Random(seed)
    events = some_events(chance, 30)
    projected = chance.randrange(len(events))
    stage.append("s", events[:projected], owner="u")
    stage.project()
    stage.append("s", events[projected:], owner="u")
    await check(api, stage)
    stage.project()
    await check(api, stage)
    session, rows = folded(stage)
    plain, _ = await all_pages(api, "/v1/sessions/s/turns", limit=4)
    assert plain == list(history(rows, session))


async def test_a_long_tail_is_read_in_chunks(api: httpx.AsyncClient, stage: Stage) -> None:
    writer = stage.writer()
    writer.append("s", *[turn(f"t{number}") for number in range(10)])
    stage.project()
    writer.append("s", *[turn(f"t{number}") for number in range(10, 900)])
    await check(api, stage, limits=(1000,))


async def test_a_session_far_behind_is_not_folded_within_a_request(
    api: httpx.AsyncClient, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strong, "MAX_TAIL_EVENTS", 3)
    stage.append("s", [turn("a"), turn("b"), turn("c"), turn("d")])
    problem(await api.get("/v1/sessions/s", params=STRONG), 504, "not-projected")


async def test_a_parked_session_says_so_until_the_event_is_skipped(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    stage.append("s", [turn("a"), poison(), turn("b")])
    stage.project()
    stage.append("s", [turn("c")])
    found = problem(await api.get("/v1/sessions/s/turns", params=STRONG), 409, "parked")
    assert found["parked_seq"] == 2
    plain = await api.get("/v1/sessions/s/turns")
    assert [item["turn_id"] for item in plain.json()["items"]] == ["a"]
    assert (plain.headers["turnlog-seq"], plain.headers["turnlog-head"]) == ("1", "4")

    retry(stage.projection, "default", "s", skip=True)
    strong_answer = await api.get("/v1/sessions/s/turns", params=STRONG)
    assert [item["turn_id"] for item in strong_answer.json()["items"]] == ["a", "b", "c"]


async def test_a_parked_session_is_folded_from_the_archive_when_it_can_be(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    stage.append("s", [turn("a"), poison(), turn("b")])
    stage.project()
    # As if the release that serves could read what the projector's could not.
    stage.connection.execute("UPDATE turnlog.parked SET state = 'skipped'")
    stage.append("s", [turn("c")])
    answer = await api.get("/v1/sessions/s/turns", params=STRONG)
    assert [item["turn_id"] for item in answer.json()["items"]] == ["a", "b", "c"]
    assert (await api.get("/v1/sessions/s")).json()["seq"] == 1


async def test_an_event_that_cannot_be_read_is_not_hidden(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    stage.append("s", [turn("a"), poison()])
    found = problem(await api.get("/v1/sessions/s", params=STRONG), 409, "parked")
    assert found["parked_seq"] == 2


async def test_a_tail_behind_trimmed_events_is_folded(api: httpx.AsyncClient, stage: Stage) -> None:
    first = turn("a")
    stage.append("s", [first, turn("b")])
    stage.project()
    keys = Keys("default", "s", PARTITIONS)
    stage.client.delete(keys.stream, keys.ids)
    value: Any = stage.client.hget(keys.heads, keys.field)
    cold = Head.parse(value)._replace(base=2)
    stage.client.hset(keys.heads, keys.field, " ".join(str(field) for field in cold))
    stage.append("s", [turn("c"), first])  # Redis cannot know any more that it had this event
    answer = await api.get("/v1/sessions/s", params=STRONG)
    assert (answer.json()["turn_count"], answer.json()["seq"]) == (3, 4)
    turns = (await api.get("/v1/sessions/s/turns", params=STRONG)).json()["items"]
    assert [item["turn_id"] for item in turns] == ["a", "b", "c"]


@pytest.mark.parametrize("lost", ["event", "stream", "tail"])
async def test_a_log_that_lost_events_is_not_folded(
    api: httpx.AsyncClient, stage: Stage, lost: str
) -> None:
    stage.append("s", [turn("a"), turn("b")])
    stage.project()
    stage.append("s", [turn("c")])
    keys = Keys("default", "s", PARTITIONS)
    if lost == "event":
        stage.client.xdel(keys.stream, "3-0")
    else:
        stage.client.delete(keys.stream)
    if lost == "tail":  # Redis came back without b and c, and took others
        stage.client.delete(keys.heads, keys.ids)
        stage.append("s", [turn("a"), turn("x"), turn("y")])
    problem(await api.get("/v1/sessions/s", params=STRONG), 503, "log-damaged")
    assert (await api.get("/v1/sessions/s")).json()["turn_count"] == 2


FOREIGN: dict[str, tuple[str, dict[str, str]]] = {
    "another field": ("3-0", {"foo": "bar"}),
    "no time": ("3-0", {"e": "{}", "i": "x"}),
    "no number as its time": ("3-0", {"e": "{}", "i": "x", "t": "now"}),
    "bytes that are no text": ("3-0", {"e": "{}", "i": "\udcff", "t": "1"}),
    "another kind of id": ("1767225600000-7", {"e": "{}", "i": "x", "t": "1"}),
}


@pytest.mark.parametrize("kind", FOREIGN)
async def test_an_entry_that_no_script_wrote_is_a_damaged_log(
    api: httpx.AsyncClient, stage: Stage, kind: str
) -> None:
    stage.append("s", [turn("a")])
    stage.project()
    key = {"Idempotency-Key": "k"}
    url = "/v1/sessions/s/turns"
    await api.post(url, json={"role": "user"}, headers=key)
    id_, fields = FOREIGN[kind]
    raw = {name: value.encode(errors="surrogateescape") for name, value in fields.items()}
    keys = Keys("default", "s", PARTITIONS)
    stage.client.execute_command("XADD", keys.stream, id_, *[x for kv in raw.items() for x in kv])
    for path in ("/v1/sessions/s", url):
        problem(await api.get(path, params=STRONG), 503, "log-damaged")
        assert (await api.get(path)).status_code == 200
    problem(await api.post(url, json={"role": "user"}), 503, "log-damaged")
    # It stands where the event of the first request stood: the lengths agree.
    stage.client.xdel(keys.stream, "2-0")
    problem(await api.post(url, json={"role": "user"}, headers=key), 503, "log-damaged")


async def test_other_data_under_a_key_of_ours_is_no_fault_of_the_server(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    stage.append("s", [turn("a")])
    keys = Keys("default", "s", PARTITIONS)
    stage.client.set(keys.stream, "x")
    problem(await api.get("/v1/sessions/s", params=STRONG), 503, "not-ready")
    stage.client.hset(keys.heads, keys.field, "no head")
    problem(await api.get("/v1/sessions/s", params=STRONG), 503, "log-damaged")


async def test_an_erased_session_is_gone_at_once(api: httpx.AsyncClient, stage: Stage) -> None:
    stage.append("s", [turn("a")])
    stage.project()
    stage.append("s", [event("session.erased")])
    problem(await api.get("/v1/sessions/s", params=STRONG), 404, "not-found")
    stage.project()
    for path in ("", "/turns"):
        problem(await api.get(f"/v1/sessions/s{path}"), 404, "not-found")
    answer = await api.post("/v1/sessions/s/turns", json={"role": "user"})
    problem(answer, 404, "not-found")
