"""`as_of`: a session and its turns as they were after any of its events, or at any time."""

import asyncio
import itertools
import multiprocessing
import random
from typing import Any

import httpx
import pytest
from appending import NewEvent, event, poison, turn
from histories import EVENTS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pasttruth import Moment, erased_turns, moments_of
from served import PARTITIONS, Stage, Users, all_pages, problem
from truth import read_streams

from turnlog_api import pasts
from turnlog_api.logsteps import Decoder, LogEvent
from turnlog_producers.head import Head
from turnlog_producers.keys import Keys
from turnlog_projector.log import SessionKey, StoredEvent
from turnlog_projector.parking import retry
from turnlog_schemas import times
from turnlog_schemas.ids import partition_of
from turnlog_schemas.rows import session_item

pytestmark = pytest.mark.integration

SLOW = settings(
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
_names = itertools.count()


def log_of(stage: Stage, session_id: str) -> list[LogEvent]:
    """The events of a session, from its stream."""
    name = ("default", session_id)
    stored = read_streams(stage.client, [name], PARTITIONS)[name]
    return [LogEvent(StoredEvent(*each), None) for each in stored]


def decoder_of(session_id: str, log: list[LogEvent]) -> Decoder:
    key = SessionKey(partition_of("default", session_id, PARTITIONS), "default", session_id)
    return Decoder(key, erased=erased_turns(log))


async def look(api: httpx.AsyncClient, path: str, **params: Any) -> httpx.Response:
    return (await api.get(f"/v1/sessions/{path}", params=params)).raise_for_status()


async def check(api: httpx.AsyncClient, session_id: str, at: int, true: Moment) -> None:
    """Session and turns of a moment."""
    answer = await look(api, session_id, as_of=at)
    assert answer.json() == session_item(true.session)
    assert answer.headers["turnlog-as-of"] == str(at)
    expected = true.turns()
    path = f"{session_id}/turns"
    page = (await look(api, path, as_of=at, limit=1000)).json()
    assert page["items"] == expected
    assert page["total_count"] == len(expected) or true.session["branches"] <= 1
    url = f"/v1/sessions/{path}"
    for order in ("asc", "desc"):
        items, _ = await all_pages(api, url, as_of=at, limit=2, order=order)
        assert items == expected[:: 1 if order == "asc" else -1]
    for branch_id in true.rows.branches:
        items = (await look(api, path, as_of=at, branch=branch_id, limit=1000)).json()["items"]
        assert items == true.turns(branch_id)


@settings(SLOW, max_examples=15)
@given(
    events=st.lists(EVENTS.filter(lambda each: each.mark != "e"), min_size=1, max_size=14),
    projected=st.integers(0, 14),
)
async def test_every_moment_is_the_fold_of_the_events_so_far(
    api: httpx.AsyncClient, stage: Stage, events: list[NewEvent], projected: int
) -> None:
    session_id = f"s{next(_names)}"
    stage.append(session_id, events[:projected])
    stage.project()
    stage.append(session_id, events[projected:])
    for _ in range(2):  # in the stream, then in the archive as well
        log = log_of(stage, session_id)
        known = 0
        for at, true in enumerate(moments_of(log, decoder_of(session_id, log)), 1):
            await check(api, session_id, at, true)
            known = at
        if known < len(log):
            url = f"/v1/sessions/{session_id}"
            found = problem(await api.get(url, params={"as_of": known + 1}), 409, "parked")
            assert found["parked_seq"] == known + 1
        stage.project()


def story() -> list[NewEvent]:
    """A history in which everything changes."""
    return [
        event("session.started", {"user_id": "me", "visibility": "tenant"}),
        turn("a", "First words"),
        turn("b", "An answer", role="assistant", model="m-large"),
        event("turn.edited", {"turn_id": "a", "content": "Other words"}),
        event("session.updated", {"title": "A name"}),
        event("turn.annotated", {"turn_id": "b", "kind": "rating", "value": 1, "by": "me"}),
        turn("c", "A new beginning", parent_turn_id="a"),
        event("turn.retracted", {"turn_id": "b"}),
        event("session.cleared"),
        event("session.deleted"),
        event("session.updated", {"visibility": "private"}),
    ]


async def test_a_moment_shows_titles_edits_retractions_and_branches_of_then(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    stage.append("s", story(), owner="me")
    stage.project()

    async def texts(at: int) -> list[str]:
        items = (await look(api, "s/turns", as_of=at)).json()["items"]
        return [item["content"] for item in items]

    assert await texts(3) == ["First words", "An answer"]
    assert await texts(4) == ["Other words", "An answer"]
    assert await texts(7) == ["Other words", "A new beginning"]
    titles = [(await look(api, "s", as_of=at)).json()["title"] for at in (1, 2, 4, 5)]
    assert titles == [None, "First words", "First words", "A name"]
    rated = (await look(api, "s/turns", as_of=7, branch="main")).json()["items"][1]
    assert [note["value"] for note in rated["annotations"]] == [1]
    assert (await look(api, "s/turns", as_of=5)).json()["items"][1]["annotations"] == []
    stubs = await look(api, "s/turns", as_of=8, branch="main", include="retracted")
    assert [item["status"] for item in stubs.json()["items"]] == ["complete", "retracted"]
    assert await texts(9) == []
    assert [(await look(api, "s", as_of=at)).json()["deleted"] for at in (9, 10)] == [False, True]
    for at, missing in ((6, "b7"), (1, "main")):
        answer = await api.get("/v1/sessions/s/turns", params={"as_of": at, "branch": missing})
        problem(answer, 404, "not-found")
    headers = (await look(api, "s/turns", as_of=3)).headers
    assert (headers["turnlog-seq"], headers["turnlog-head"]) == ("11", "11")
    assert headers["turnlog-as-of"] == "3"
    assert "turnlog-as-of" not in (await look(api, "s/turns")).headers


async def test_a_time_means_the_last_event_recorded_until_then(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    for number, each in enumerate(story()):
        stage.append("s", [each], owner="me")
        await asyncio.sleep(0.002 * (number % 3))
    for _ in range(2):
        recorded = [each.stored.recorded_at for each in log_of(stage, "s")]
        for moment in {t + d for t in recorded for d in (-1, 0, 1)}:
            expected = sum(t <= moment for t in recorded)
            for text in (
                times.from_ms(moment),
                times.from_ms(moment).replace("000Z", "999Z"),
                times.from_ms(moment + 7_200_000).replace("Z", "+02:00"),
            ):
                answer = await api.get("/v1/sessions/s", params={"as_of": text})
                if expected == 0:
                    assert "recorded later" in problem(answer, 404, "not-found")["detail"]
                else:
                    assert answer.headers["turnlog-as-of"] == str(expected)
                    assert answer.json()["seq"] == expected
        stage.project()
    assert (await look(api, "s", as_of="2999-01-01T00:00:00Z")).json()["seq"] == 11


@pytest.mark.parametrize(
    ("as_of", "status", "code"),
    [
        ("0", 404, "not-found"),
        ("12", 409, "behind-head"),
        ("9007199254740991", 409, "behind-head"),
        ("1970-01-01T00:00:00Z", 404, "not-found"),
        ("-1", 422, "invalid"),
        ("9007199254740992", 422, "invalid"),
        ("1.5", 422, "invalid"),
        ("", 422, "invalid"),
        ("yesterday", 422, "invalid"),
        ("2026-01-31T12:00:00", 422, "invalid"),
        ("2026-01-31T12:00:00 02:00", 422, "invalid"),
    ],
)
@pytest.mark.parametrize("path", ["", "/turns"])
async def test_a_moment_that_is_none_is_refused(
    api: httpx.AsyncClient, stage: Stage, path: str, as_of: str, status: int, code: str
) -> None:
    stage.append("s", story(), owner="me")
    stage.project()
    answer = await api.get(f"/v1/sessions/s{path}", params={"as_of": as_of})
    found = problem(answer, status, code)
    assert "as_of" in found["detail"]
    if code == "behind-head":
        assert found["head"] == 11


async def test_all_pages_show_the_moment_of_the_first(api: httpx.AsyncClient, stage: Stage) -> None:
    stage.append("s", [turn(f"t{number}") for number in range(5)])
    stage.project()
    url = "/v1/sessions/s/turns"
    now = times.now().replace("Z", "+00:00")
    for as_of in ("4", now):
        first = (await look(api, "s/turns", as_of=as_of, limit=2)).json()
        stage.append("s", [turn("late" + as_of[:1]), event("turn.retracted", {"turn_id": "t2"})])
        stage.project()
        cursor = first["next_cursor"]
        for more in ({}, {"as_of": as_of}):
            second = (await look(api, "s/turns", cursor=cursor, limit=2, **more)).json()
            assert [item["turn_id"] for item in second["items"]] == ["t2", "t3"]
        assert second["total_count"] == first["total_count"]
        for other in ("3", "2030-01-01T00:00:00Z"):
            answer = await api.get(url, params={"cursor": cursor, "as_of": other})
            problem(answer, 400, "bad-cursor")
        stage.append("s", [turn("t2" + as_of[:1])])
    plain = (await look(api, "s/turns", limit=2)).json()["next_cursor"]
    problem(await api.get(url, params={"cursor": plain, "as_of": "3"}), 400, "bad-cursor")


async def test_who_may_see_it_is_decided_by_the_session_as_it_is_now(
    guarded: httpx.AsyncClient, stage: Stage, users: Users
) -> None:
    stage.append("s", story(), owner="me")
    me, other = users.headers("me"), users.headers("other")
    elsewhere = users.headers("me", tenant="elsewhere")

    async def ask(headers: dict[str, str], **params: Any) -> list[httpx.Response]:
        return [
            await guarded.get(f"/v1/sessions/s{path}", params=params, headers=headers)
            for path in ("", "/turns")
        ]

    for _ in range(2):  # not projected, and projected
        for params in ({"as_of": 3}, {"as_of": 3, "consistency": "strong"}, {"as_of": 99}):
            for headers in (other, elsewhere):  # it was visible to the tenant then
                for answer in await ask(headers, **params):
                    problem(answer, 404, "not-found")
        for answer in await ask(me, as_of=3):
            assert answer.status_code == 200
        stage.project()
    stage.append("s", [event("session.updated", {"visibility": "tenant"})])
    for answer in await ask(other, as_of=3, consistency="strong"):
        assert answer.status_code == 200
    stage.project()
    for answer in await ask(other, as_of=11):  # it was private then
        assert answer.status_code == 200
    for answer in await ask({}, as_of=3):
        problem(answer, 401, "unauthenticated")


async def test_a_moment_of_an_erased_session_is_not_shown(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    stage.append("s", [turn("a"), turn("b")])
    stage.project()
    assert (await look(api, "s", as_of=1)).json()["seq"] == 1
    stage.append("s", [event("session.erased")])
    for _ in range(2):
        for path in ("", "/turns"):
            answer = await api.get(f"/v1/sessions/s{path}", params={"as_of": 1})
            problem(answer, 404, "not-found")
        stage.project()


SECRET = "my password"


async def test_erased_text_is_shown_at_no_moment(api: httpx.AsyncClient, stage: Stage) -> None:
    stage.append("s", [turn("a", SECRET), turn("b", "Fine"), turn("c", "More")])
    stage.append("s", [event("turn.edited", {"turn_id": "a", "content": f"{SECRET} again"})])
    stage.project()
    for at in (1, 2, 3):
        assert SECRET in (await look(api, "s", as_of=at)).text
        assert SECRET in (await look(api, "s/turns", as_of=at)).text
    stage.append("s", [event("turn.erased", {"turn_id": "a"}), turn("d", "Later")])
    seen: list[list[str]] = []
    for _ in range(2):  # the erasure is on its way, then done
        seen.append([])
        for at in range(1, 7):
            for path in ("s", "s/turns"):
                seen[-1].append((await look(api, path, as_of=at)).text)
        stage.project()
    assert seen[0] == seen[1]
    assert SECRET not in "".join(seen[0])


async def test_below_the_event_that_parked_a_session_it_is_shown(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    stage.append("s", [turn("a"), turn("b"), poison(), turn("c")])
    for _ in range(2):
        for params in ({}, {"consistency": "strong"}):
            assert (await look(api, "s", as_of=1, **params)).json()["turn_count"] == 1
            assert len((await look(api, "s/turns", as_of=2, **params)).json()["items"]) == 2
            for at in (3, 4):
                for path in ("", "/turns"):
                    answer = await api.get(f"/v1/sessions/s{path}", params={"as_of": at, **params})
                    assert problem(answer, 409, "parked")["parked_seq"] == 3
        stage.project()
    retry(stage.projection, "default", "s", skip=True)
    assert (await look(api, "s", as_of=3)).json()["turn_count"] == 2
    items = (await look(api, "s/turns", as_of=4)).json()["items"]
    assert [item["turn_id"] for item in items] == ["a", "b", "c"]


async def test_a_long_history_is_folded_in_a_process_of_its_own(
    api: httpx.AsyncClient, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pasts, "LONG_WALK_EVENTS", 5)
    events = [turn(f"t{number}", f"text {number}") for number in range(40)]
    events.insert(20, event("turn.edited", {"turn_id": "t3", "content": "other"}))
    stage.append("s", [*events, poison(), turn("late")])
    stage.project()
    log = log_of(stage, "s")
    decoder = decoder_of("s", log)
    some = {at: true for at, true in enumerate(moments_of(log, decoder), 1) if at == 30}
    asked = [look(api, "s", as_of=30) for _ in range(4)]
    assert [a.json() for a in await asyncio.gather(*asked)] == [session_item(some[30].session)] * 4
    for at, true in enumerate(moments_of(log, decoder), 1):
        if at % 7 == 0:
            await check(api, "s", at, true)
    answer = await api.get("/v1/sessions/s", params={"as_of": 43})
    assert problem(answer, 409, "parked")["parked_seq"] == 42
    for _ in range(2):  # a process that is there, and one that is gone
        stage.writer().append("z", *[turn(event_id=None, turn_id=each.event_id) for each in events])
        stage.project()
        seq = len(log_of(stage, "z"))
        assert (await look(api, "z", as_of=seq - 1)).json()["seq"] == seq - 1
        for process in multiprocessing.active_children():
            if process.name == "turnlog history":
                process.kill()
                process.join()


async def test_a_trimmed_session_has_all_its_moments(api: httpx.AsyncClient, stage: Stage) -> None:
    stage.append("s", story()[:6], owner="me")
    stage.project()
    log = log_of(stage, "s")
    keys = Keys("default", "s", PARTITIONS)
    stage.client.delete(keys.stream, keys.ids)
    value: Any = stage.client.hget(keys.heads, keys.field)
    cold = Head.parse(value)._replace(base=6)
    stage.client.hset(keys.heads, keys.field, " ".join(str(field) for field in cold))
    stage.append("s", story()[6:8])
    log += log_of(stage, "s")
    for at, true in enumerate(moments_of(log, decoder_of("s", log)), 1):
        await check(api, "s", at, true)


async def test_without_redis_the_archive_answers(stage: Stage) -> None:
    from served import serving

    stage.append("s", story()[:1], owner="me")
    await asyncio.sleep(0.002)  # or they are of one moment, and more may be
    stage.append("s", story()[1:3])
    stage.project()
    stage.append("s", story()[3:4])
    async with serving(stage, redis_url="redis://127.0.0.1:1") as api:
        for at in (1, 2, 3):
            answer = await look(api, "s/turns", as_of=at)
            assert len(answer.json()["items"]) == at - 1
            assert "turnlog-head" not in answer.headers
        first = log_of(stage, "s")[0].stored.recorded_at
        assert (await look(api, "s", as_of=times.from_ms(first))).status_code == 200
        for as_of in (4, times.now()):
            answer = await api.get("/v1/sessions/s", params={"as_of": as_of})
            problem(answer, 503, "redis-unavailable")


async def test_moments_stand_still_while_the_session_goes_on(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    chance = random.Random(7)
    stop = asyncio.Event()
    projecting = asyncio.create_task(stage.keep_projecting(stop))
    seen: list[tuple[int, dict[str, Any], list[Any]]] = []
    pages: list[tuple[int, list[Any]]] = []
    for number in range(60):
        changes = [turn(f"t{number}", f"text {number}")]
        known = f"t{chance.randrange(number + 1)}"
        changes.append(event("turn.edited", {"turn_id": known, "content": f"edit {number}"}))
        if number % 9 == 0:
            changes.append(event("turn.retracted", {"turn_id": known}))
        await asyncio.to_thread(stage.append, "s", changes)
        at = chance.randint(1, len(log_of(stage, "s")))
        asked = (look(api, "s", as_of=at), look(api, "s/turns", as_of=at, limit=1000))
        asked += (look(api, "s/events", limit=1000),)
        session, turns, events = await asyncio.gather(*asked)
        seen.append((at, session.json(), turns.json()["items"]))
        pages.append((at, [item["seq"] for item in events.json()["items"]]))
    stop.set()
    await projecting
    log = log_of(stage, "s")
    true: dict[int, tuple[Any, Any]] = {}
    for at, moment in enumerate(moments_of(log, decoder_of("s", log)), 1):
        true[at] = session_item(moment.session), moment.turns()
    for at, session, turns in seen:
        assert (session, turns) == true[at]
    for at, seqs in pages:
        assert seqs == list(range(1, len(seqs) + 1))
        assert len(seqs) >= at
