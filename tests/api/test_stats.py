"""`GET /v1/stats`: what counts, in whose days, for whom, and what is refused."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from appending import event, turn
from served import Stage, Users, problem, serving

from turnlog_api.statsdocs import Statistics
from turnlog_projector.replay import replay

pytestmark = pytest.mark.integration


def at(moment: str, turn_id: str, role: str = "user", **data: Any) -> Any:
    """A turn of a moment."""
    return event("turn.appended", {"turn_id": turn_id, "role": role, **data}, at=moment)


async def ask(
    api: httpx.AsyncClient, headers: dict[str, str] | None = None, **params: str
) -> dict[str, Any]:
    """The statistics, which are as documented."""
    answer = await api.get("/v1/stats", params=params, headers=headers)
    found = answer.raise_for_status().json()
    Statistics.model_validate(found)
    return found


def by_day(found: dict[str, Any], key: str) -> dict[str, Any]:
    """One figure of the days that have turns."""
    return {day["day"]: day[key] for day in found["days"] if day["turns"]}


ANSWER: dict[str, Any] = {
    "role": "assistant",
    "model": "gpt-5",
    "usage": {"input_tokens": 10, "output_tokens": 5, "cached_tokens": 2},
    "response_time_ms": 800.5,
}
WHOLE: dict[str, Any] = {
    "turns": 4,
    "by_role": {"assistant": 2, "user": 2},
    "active_sessions": 2,
    "active_users": 1,
    "usage": {"input_tokens": 20, "output_tokens": 10, "cached_tokens": 4},
    "by_model": [
        {
            "model": "gpt-5",
            "turns": 2,
            "usage": {"input_tokens": 20, "output_tokens": 10, "cached_tokens": 4},
        }
    ],
    "response_time_ms": {"count": 2, "p50": 800.5, "p95": 800.5, "p99": 800.5},
    "ratings": {"count": 0, "average": None, "by_value": []},
}


@pytest.fixture
def stocked(stage: Stage) -> Stage:
    """Two sessions of ann with a question and an answer each, today."""
    for name in ("a", "b"):
        started = event("session.started", {"user_id": "ann", "project": name})
        stage.append(name, [started, turn(f"{name}1"), turn(f"{name}2", **ANSWER)], owner="ann")
    stage.project()
    return stage


@pytest.mark.usefixtures("stocked")
async def test_what_a_day_tells(api: httpx.AsyncClient) -> None:
    found = await ask(api)
    assert found["total"] == WHOLE
    assert len(found["days"]) == 30
    assert found["days"][-1] == {"day": datetime.now(UTC).date().isoformat(), **WHOLE}
    assert found["days"][0]["turns"] == 0
    assert found["days"][0]["by_model"] == []


@pytest.mark.parametrize(
    ("change", "turns", "tokens"),
    [
        (event("turn.edited", {"turn_id": "a2", "content": "x"}), 4, 20),
        (event("turn.retracted", {"turn_id": "a2"}), 3, 20),
        (event("turn.erased", {"turn_id": "a2"}), 3, 20),
        (event("session.cleared"), 2, 20),
        (event("session.deleted"), 2, 10),
        (event("session.erased"), 2, 10),
        (turn("a3", parent_turn_id="a1", **ANSWER), 5, 30),
        (event("turn.started", {"turn_id": "a3", "role": "assistant", "model": "gpt-5"}), 5, 20),
    ],
    ids=["edit", "retract", "erase turn", "clear", "delete", "erase", "branch", "start"],
)
async def test_what_counts_after_a_change(
    stocked: Stage, api: httpx.AsyncClient, change: Any, turns: int, tokens: int
) -> None:
    stocked.append("a", [change])
    stocked.project()
    found = await ask(api)
    assert found["total"]["turns"] == sum(found["total"]["by_role"].values()) == turns
    assert found["total"]["usage"]["input_tokens"] == tokens
    assert by_day(found, "turns") == {found["days"][-1]["day"]: turns}
    replay(stocked.postgres_url, tell=lambda _: None, processes=1)
    assert await ask(api) == found


async def test_a_deleted_session_counts_again_when_it_is_restored(
    stocked: Stage, api: httpx.AsyncClient
) -> None:
    stocked.append("a", [event("session.deleted"), event("session.restored")])
    stocked.project()
    assert (await ask(api))["total"] == WHOLE


async def test_ratings_are_of_the_day_of_their_turn(stage: Stage, api: httpx.AsyncClient) -> None:
    stage.append("s", [at("2026-01-10T12:00:00Z", "t1"), at("2026-01-11T12:00:00Z", "t2")])
    stage.append(
        "s",
        [
            event("turn.annotated", {"turn_id": on, "kind": "rating", "value": value, "by": by})
            for on, value, by in (
                ("t1", 1, "ann"),
                ("t1", -1, "ann"),  # changes her mind
                ("t1", True, "ben"),
                ("t1", 4.5, "eve"),
                ("t1", None, "eve"),
                ("t2", False, "ann"),
            )
        ],
    )
    stage.project()
    found = await ask(api, since="2026-01-10", until="2026-01-12")
    ratings = by_day(found, "ratings")
    counts = [{"value": -1, "count": 1}, {"value": 1, "count": 1}]
    assert ratings["2026-01-10"] == {"count": 2, "average": 0, "by_value": counts}
    assert ratings["2026-01-11"]["average"] == 0
    assert found["total"]["ratings"]["count"] == 3
    stage.append("s", [event("turn.retracted", {"turn_id": "t1"})])
    stage.project()
    found = await ask(api, since="2026-01-10", until="2026-01-12")
    assert found["total"]["ratings"]["count"] == 1


async def test_days_are_those_of_the_time_zone(stage: Stage, api: httpx.AsyncClient) -> None:
    """The night in which Berlin's clocks go back, told by three zones."""
    moments = ["21:30", "22:30", "23:30"], ["00:30", "01:30", "22:30", "23:30"]
    texts = [f"2025-10-25T{each}:00Z" for each in moments[0]]
    texts += [f"2025-10-26T{each}:00Z" for each in moments[1]]
    stage.append("s", [at(text, f"t{number}") for number, text in enumerate(texts)])
    stage.project()
    for zone, expected in (
        ("UTC", {"2025-10-25": 3, "2025-10-26": 4}),
        ("Europe/Berlin", {"2025-10-25": 1, "2025-10-26": 5, "2025-10-27": 1}),
        ("Asia/Kolkata", {"2025-10-26": 5, "2025-10-27": 2}),
    ):
        found = await ask(api, since="2025-10-24", until="2025-10-29", tz=zone)
        assert by_day(found, "turns") == expected, zone
        assert [day["day"][-2:] for day in found["days"]] == ["24", "25", "26", "27", "28"]
    inner = await ask(api, since="2025-10-25T22:30:00Z", until="2025-10-26T01:30:00Z")
    assert by_day(inner, "turns") == {"2025-10-25": 2, "2025-10-26": 1}


async def test_percentiles_are_values_that_were_measured(
    stage: Stage, api: httpx.AsyncClient
) -> None:
    stage.append("s", [turn(f"t{n}", response_time_ms=float(n)) for n in range(1, 101)])
    stage.append("s", [turn("unknown"), event("turn.retracted", {"turn_id": "t100"})])
    stage.project()
    times = (await ask(api))["total"]["response_time_ms"]
    assert times == {"count": 99, "p50": 50, "p95": 95, "p99": 99}


async def test_who_is_active_on_two_days_counts_once_in_all(
    stage: Stage, api: httpx.AsyncClient
) -> None:
    for name, owner in (("a", "ann"), ("b", "ann"), ("c", "ben"), ("d", None)):
        started = event("session.started", {"user_id": owner} if owner else {})
        days = ("2026-01-10", "2026-01-11") if name != "b" else ("2026-01-10",)
        turns = [at(f"{day}T00:00:00Z", day) for day in days]
        stage.append(name, [started, *turns], owner=owner or "")
    stage.project()
    found = await ask(api, since="2026-01-10", until="2026-01-12")
    assert by_day(found, "active_sessions") == {"2026-01-10": 4, "2026-01-11": 3}
    assert by_day(found, "active_users") == {"2026-01-10": 2, "2026-01-11": 2}
    assert (found["total"]["active_sessions"], found["total"]["active_users"]) == (4, 2)


@pytest.mark.usefixtures("stocked")
async def test_filters(api: httpx.AsyncClient) -> None:
    cases: list[tuple[dict[str, str], int]] = [
        ({"project": "a"}, 2),
        ({"user_id": "ann"}, 4),
        ({"user_id": "ben"}, 0),
        ({"session_id": "b", "project": "b"}, 2),
        ({"session_id": "b", "project": "a"}, 0),
    ]
    for params, turns in cases:
        assert (await ask(api, None, **params))["total"]["turns"] == turns, params


async def test_each_sees_what_it_may_read(
    stage: Stage, guarded: httpx.AsyncClient, users: Users
) -> None:
    for name, owner, visibility, tenant in (
        ("anns", "ann", "private", "default"),
        ("bens", "ben", "private", "default"),
        ("shown", "ben", "tenant", "default"),
        ("other", "ann", "tenant", "elsewhere"),
    ):
        started = event("session.started", {"user_id": owner, "visibility": visibility})
        stage.writer(tenant).append(name, started, turn("t"), owner=owner)
    stage.project()
    service = users.headers("bot", scope="service")
    for headers, turns in (
        (users.headers("ann"), 2),
        (users.headers("ben"), 2),
        (users.headers("eve"), 1),
        (service, 3),
        (service | {"Turnlog-User": "ann"}, 2),
        (users.headers("ann", tenant="elsewhere"), 1),
        (users.headers("bot", tenant="nowhere", scope="admin"), 0),
    ):
        assert (await ask(guarded, headers))["total"]["turns"] == turns
    ann = users.headers("ann")
    assert (await ask(guarded, ann, user_id="ben"))["total"]["turns"] == 1
    assert (await ask(guarded, ann, session_id="bens"))["total"]["turns"] == 0


def test_without_a_reader_the_database_tells_nothing(stocked: Stage) -> None:
    """Whatever of the reader is missing: no figures, never those of everybody."""
    query = "SELECT turnlog.stats(1, '{2000-01-01}', '2100-01-01', '{x}', NULL, NULL, NULL)"
    connection = stocked.connection

    def turns(**reader: str) -> bool:
        with connection.transaction():
            for name in ("reads", "tenant", "user"):
                value = reader.get(name, "")
                connection.execute("SELECT set_config(%s, %s, true)", (f"turnlog.{name}", value))
            row = connection.execute(query).fetchone()
        assert row is not None
        return row[0] is not None and '"turns" : 4' in row[0]

    assert turns(reads="tenant", tenant="default")
    assert turns(reads="user", tenant="default", user="ann")
    for reader in (
        {},
        {"tenant": "default", "user": "ann"},
        {"reads": "user", "tenant": "default"},
        {"reads": "user", "tenant": "default", "user": "ben"},
        {"reads": "session", "tenant": "default", "user": "ann"},
        {"reads": "tenant"},
    ):
        assert not turns(**reader), reader


@pytest.mark.usefixtures("stocked")
async def test_an_answer_that_is_known_is_not_sent_again(api: httpx.AsyncClient) -> None:
    first = await api.get("/v1/stats")
    again = await api.get("/v1/stats", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_the_answer_tells_how_far_behind_it_is(stage: Stage, api: httpx.AsyncClient) -> None:
    stage.append("s", [turn("t1"), turn("t2")])
    assert (await api.get("/v1/stats")).headers["turnlog-behind"] == "2"
    stage.project()
    assert (await api.get("/v1/stats")).headers["turnlog-behind"] == "0"


@pytest.mark.usefixtures("stocked")
async def test_it_answers_while_redis_is_down(stage: Stage) -> None:
    async with serving(stage, redis_url="redis://127.0.0.1:1") as api:
        answer = await api.get("/v1/stats")
        assert answer.json()["total"]["turns"] == 4
        assert "turnlog-behind" not in answer.headers


@pytest.mark.parametrize(
    ("params", "parameter"),
    [
        ({"tz": "Mars/Olympus"}, "tz"),
        ({"tz": "x" * 100}, "tz"),
        ({"since": "soon"}, "since"),
        ({"since": "2026-01-02", "until": "2026-01-01"}, "until"),
        ({"since": "2020-01-01"}, "since"),
        ({"session_id": "a b"}, "session_id"),
        ({"days": "7"}, "days"),
    ],
)
async def test_bad_input_is_named(
    api: httpx.AsyncClient, params: dict[str, str], parameter: str
) -> None:
    document = problem(await api.get("/v1/stats", params=params), 422, "invalid")
    assert [fault["parameter"] for fault in document["errors"]] == [parameter]
    assert all(value not in document["detail"] for value in params.values())


async def test_a_day_has_its_first_microsecond_and_its_last(
    stage: Stage, api: httpx.AsyncClient
) -> None:
    midnight = datetime(2026, 1, 11, tzinfo=UTC)
    moments = [midnight - timedelta(microseconds=1), midnight]
    stage.append("s", [at(m.isoformat(), f"t{n}") for n, m in enumerate(moments)])
    stage.project()
    found = await ask(api, since="2026-01-10", until="2026-01-12")
    assert by_day(found, "turns") == {"2026-01-10": 1, "2026-01-11": 1}
    assert (await ask(api, since="2026-01-10", until="2026-01-11"))["total"]["turns"] == 1
    assert (await ask(api, since="2026-01-11", until="2026-01-12"))["total"]["turns"] == 1
