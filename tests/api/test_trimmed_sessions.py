"""The API over sessions that were trimmed from Redis: nobody notices."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest
from appending import turn
from served import PARTITIONS, Stage, all_pages, problem
from servers import wait_until_async

from turnlog_producers.head import Head
from turnlog_producers.keys import Keys
from turnlog_projector.trim import Trimmer
from turnlog_projector.trim_marks import TrimRule, cuts, mark

pytestmark = pytest.mark.integration

TURNS = "/v1/sessions/s/turns"
KEPT = pytest.mark.parametrize("keep", [0, 2], ids=["cold", "trimmed"])


def trim(stage: Stage, keep: int) -> None:
    """All that is archived leaves Redis, but for the newest `keep` events of a session."""
    rule = TrimRule.of(timedelta(0), timedelta(days=7), keep)
    mark(stage.connection, range(PARTITIONS), timedelta(0))
    trimmer = Trimmer(stage.projection.log, stage.connection, rule)
    for cut in cuts(stage.connection, range(PARTITIONS), rule):
        for _ in trimmer.partition(cut):
            pass


def head(stage: Stage) -> Head:
    """The session's head in Redis."""
    keys = Keys("default", "s", PARTITIONS)
    return Head.parse(stage.client.hget(keys.heads, keys.field))  # pyright: ignore


async def begin(api: httpx.AsyncClient, stage: Stage, keep: int) -> dict[str, Any]:
    """A session of six turns, trimmed; the reply to its third turn."""
    replies: list[httpx.Response] = []
    for number in range(6):
        body = {"role": "user", "content": f"turn {number}"}
        key = {"Idempotency-Key": f"k{number}"}
        replies.append((await api.post(TURNS, json=body, headers=key)).raise_for_status())
    stage.project()
    trim(stage, keep)
    assert head(stage)[:2] == (6, 6 - keep)
    return replies[2].json()


async def texts(api: httpx.AsyncClient, **params: Any) -> list[str]:
    """The turns of the session."""
    answer = (await api.get(TURNS, params=params)).raise_for_status().json()
    return [item["content"] for item in answer["items"]]


@KEPT
async def test_reading(api: httpx.AsyncClient, stage: Stage, keep: int) -> None:
    await begin(api, stage, keep)
    all_turns = [f"turn {number}" for number in range(6)]
    assert await texts(api) == all_turns
    assert await texts(api, consistency="strong") == all_turns
    assert await texts(api, min_seq=6) == all_turns
    answer = await api.get("/v1/sessions/s", params={"consistency": "strong"})
    assert answer.headers["turnlog-head"] == answer.headers["turnlog-seq"] == "6"


@KEPT
async def test_a_strong_read_of_what_came_later(
    api: httpx.AsyncClient, stage: Stage, keep: int
) -> None:
    await begin(api, stage, keep)
    stage.append("s", [turn("later", "turn 6"), turn("latest", "turn 7")])
    expected = [f"turn {number}" for number in range(8)]
    assert await texts(api, consistency="strong") == expected
    assert await texts(api) == expected[:6]
    stage.project()
    assert await texts(api) == expected


@KEPT
async def test_min_seq_waits_for_what_comes(
    api: httpx.AsyncClient, stage: Stage, keep: int
) -> None:
    await begin(api, stage, keep)
    waiting = asyncio.create_task(texts(api, min_seq=7))
    stage.append("s", [turn("later", "turn 6")])
    await asyncio.to_thread(stage.project)
    assert len(await waiting) == 7


@KEPT
async def test_a_key_that_redis_no_longer_knows(
    api: httpx.AsyncClient, stage: Stage, keep: int
) -> None:
    first = await begin(api, stage, keep)
    body, key = {"role": "user", "content": "turn 2"}, {"Idempotency-Key": "k2"}
    again = await api.post(TURNS, json=body, headers=key)
    assert again.status_code == 200
    assert again.json() == {**first, "repeat": True}
    assert head(stage).seq == 6
    other = await api.post(TURNS, json={"role": "user", "content": "another"}, headers=key)
    problem(other, 422, "key-reused")


@KEPT
async def test_a_repeat_past_the_api_folds_to_nothing_in_a_strong_read(
    api: httpx.AsyncClient, stage: Stage, keep: int
) -> None:
    first = await begin(api, stage, keep)
    repeated = turn("another", "sent again", event_id=first["event_id"])
    stage.append("s", [repeated, turn("later", "turn 6")])
    assert head(stage).seq == 8
    expected = [f"turn {number}" for number in range(7)]
    assert await texts(api, consistency="strong") == expected
    stage.project()
    assert await texts(api) == expected


@KEPT
async def test_as_it_was_and_the_log_itself(
    api: httpx.AsyncClient, stage: Stage, keep: int
) -> None:
    await begin(api, stage, keep)
    stage.append("s", [turn("later", "turn 6")])
    expected = [f"turn {number}" for number in range(7)]
    log, _ = await all_pages(api, "/v1/sessions/s/events", limit=2)
    assert [each["seq"] for each in log] == list(range(1, 8))
    assert [each["data"]["content"] for each in log] == expected
    stage.project()
    assert await texts(api, as_of=3) == expected[:3]
    moment = log[4]["recorded_at"]
    then = [each["data"]["content"] for each in log if each["recorded_at"] <= moment]
    assert await texts(api, as_of=moment) == then


@KEPT
async def test_expected_seq(api: httpx.AsyncClient, stage: Stage, keep: int) -> None:
    await begin(api, stage, keep)
    body = {"role": "user", "content": "turn 6"}
    problem(
        await api.post(TURNS, json=body, headers={"If-Match": '"5"'}), 412, "precondition-failed"
    )
    done = await api.post(TURNS, json=body, headers={"If-Match": '"6"'})
    assert (done.status_code, done.json()["seq"]) == (201, 7)


@KEPT
async def test_clearing_counts_the_turns_that_left_redis(
    api: httpx.AsyncClient, stage: Stage, keep: int
) -> None:
    await begin(api, stage, keep)
    assert (await api.post("/v1/sessions/s/clear")).json()["hidden"] == 6


async def test_strong_reads_while_the_session_is_trimmed(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    """Projected and trimmed between a snapshot and the stream: read again, never a hole."""
    await begin(api, stage, 2)
    stop = asyncio.Event()

    def churn(number: int) -> None:
        stage.append("s", [turn(f"n{number}", f"turn {6 + number}")])
        stage.project()
        trim(stage, 0)

    async def keep_on() -> None:
        number = 0
        while not stop.is_set():
            await asyncio.to_thread(churn, number)
            number += 1

    churning = asyncio.create_task(keep_on())
    read: list[int] = []

    async def enough() -> bool:
        found = await texts(api, consistency="strong", limit=1000)
        assert found == [f"turn {number}" for number in range(len(found))]
        read.append(len(found))
        return read[-1] > read[0] + 20

    try:
        await wait_until_async(enough, "twenty turns came meanwhile")
    finally:
        stop.set()
        await churning
