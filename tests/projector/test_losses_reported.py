"""Whatever Redis loses is found by a running worker, put right as far as anyone can, and told: in
the log, and in the status with what to do."""

import logging
from collections.abc import Generator
from contextlib import contextmanager
from typing import cast

import pytest
import redis
from appending import event, turn
from redis.exceptions import ResponseError
from rig import Rig, RunningWorker, dump, patched, restore
from servers import wait_until
from watching import advice, healed, status

from turnlog_producers import TurnLog
from turnlog_producers.errors import Misconfigured
from turnlog_producers.keys import META
from turnlog_projector import database
from turnlog_projector import heal as heal_module
from turnlog_projector.database import check_redis, connect_redis
from turnlog_projector.errors import UnsafeServer, WrongLog
from turnlog_projector.log import StoredEvent
from turnlog_projector.parking import list_parked, retry
from turnlog_projector.repair import adopt

pytestmark = pytest.mark.integration


def fill(rig: Rig, sessions: int = 6, turns: int = 3) -> None:
    for session in range(sessions):
        started = event("session.started", {"user_id": f"u{session}"})
        rig.writer.append(f"s{session}", started, owner=f"u{session}")
        for number in range(turns):
            rig.writer.append(f"s{session}", turn(f"t{number}"))


@contextmanager
def working(rig: Rig, **settings: object) -> Generator[RunningWorker]:
    """A worker that audits all the time, and has nothing left to do."""
    with rig.worker(**{"audit_seconds": 0.3, **settings}) as worker:
        rig.wait_projected()
        yield worker
        worker.stop()


def test_an_index_entry_that_never_arrived(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    fill(rig)
    with working(rig):
        rig.writer.append("s0", turn("t9"))
    rig.writer.append("s0", turn("hidden"))
    rig.client.xdel(rig.writer.keys("s0").index, rig.writer.newest_index_id("s0"))
    neighbour = next(n for n in range(50) if rig.key(f"n{n}").partition == rig.key("s0").partition)
    rig.writer.append(f"n{neighbour}", turn("t0"))
    with working(rig):
        wait_until(lambda: healed(rig), "it is told")
    assert healed(rig) == {"entries": 1}
    assert status(rig)["healings"]["newest"]["kind"] == "entry"
    assert "were fetched without the index" in caplog.text
    assert "Nothing is lost" in caplog.text
    assert advice(rig) == ""


def test_a_gap_in_the_index(rig: Rig) -> None:
    fill(rig)
    with working(rig):
        pass
    rig.writer.append("s0", turn("hidden"))
    rig.client.xdel(rig.writer.keys("s0").index, rig.writer.newest_index_id("s0"))
    rig.writer.append("s0", turn("later"))
    with working(rig, audit_seconds=300.0):
        rig.wait_projected()
    assert healed(rig) == {"entries": 1}
    assert "the index skips seqs 5 to 5" in status(rig)["healings"]["newest"]["reason"]


@pytest.mark.parametrize("refilled", [True, False])
def test_a_redis_without_its_newest_seconds(
    rig: Rig, refilled: bool, caplog: pytest.LogCaptureFixture
) -> None:
    fill(rig)
    copy = dump(rig.client)
    for number in range(3):
        rig.writer.append("s0", turn(f"late{number}"))
    with working(rig):
        pass
    restore(rig.client, copy)
    if refilled:
        rig.writer.append("s0", turn("instead"))
    with working(rig):
        wait_until(lambda: "streams" in healed(rig), "it is told")
    found = healed(rig)
    assert (found["streams"], found["events_restored"]) == (1, 3)
    assert found.get("events_moved", 0) == (1 if refilled else 0)
    assert "healed session default:s0 from seq 5" in caplog.text
    assert advice(rig) == ""


def test_acknowledged_events_that_nobody_has_any_more(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    fill(rig)
    with working(rig):
        pass
    rig.writer.append("s0", turn("lost0"), turn("lost1"))
    keys = rig.writer.keys("s0")
    rig.client.delete(keys.stream, keys.ids)
    with working(rig):
        wait_until(lambda: "streams" in healed(rig), "it is told")
    assert healed(rig)["events_lost"] == 2
    assert "2 events of session default:s0 are lost for good" in caplog.text
    assert "2 events were lost for good within a week" in advice(rig)
    assert "send them again" in advice(rig)


@pytest.mark.parametrize("lost", ["stream", "ids", "head", "heads", "index", "index:n"])
@pytest.mark.parametrize("watched", [True, False])
def test_a_key_that_is_deleted_by_hand(rig: Rig, lost: str, watched: bool) -> None:
    """With a worker at work, or before one starts again."""
    fill(rig)
    keys = rig.writer.keys("s0")

    def delete() -> None:
        if lost == "head":
            rig.client.hdel(keys.heads, keys.field)
        else:
            name = f"{keys.index}:n" if lost == "index:n" else cast(str, getattr(keys, lost))
            assert rig.client.delete(name) == 1

    with working(rig):
        if watched:
            delete()
            wait_until(lambda: lost == "index:n" or healed(rig), "it is told")
    if not watched:
        delete()
    with working(rig):
        wait_until(lambda: lost == "index:n" or healed(rig), "it is told")
        rig.writer.append("s0", turn("later"))
        rig.wait_projected()
    if lost == "index":
        assert healed(rig)["indexes"] >= 1
    elif lost != "index:n":
        assert healed(rig)["streams"] >= 1
    assert healed(rig).get("events_lost", 0) == 0
    assert advice(rig) == ""


def test_the_identity_of_the_log_is_deleted_by_hand(rig: Rig) -> None:
    fill(rig)
    with rig.worker() as worker:
        rig.wait_projected()
        rig.client.delete(META)
        rig.client.delete(rig.writer.keys("s0").stream)
        rig.client.publish("turnlog:wake", f"{rig.key('s0').partition} default:s0")
        wait_until(lambda: not worker.alive, "the worker stops")
        with pytest.raises(WrongLog, match="turnlog repair --adopt"):
            worker.stop()
    with (
        TurnLog.connect(rig.redis_url) as log,
        pytest.raises(Misconfigured, match=r"its key turnlog:meta is gone.*repair --adopt"),
    ):
        log.session("new").append_turn("user", "Hi")
    assert rig.client.get(META) is None
    adopt(rig.redis_url, rig.postgres_url)
    with working(rig):
        rig.wait_projected()


def test_a_fork_is_left_to_people(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """The last event that both shared is replaced while the healing looks."""
    fill(rig)
    with working(rig):
        pass
    keys = rig.writer.keys("s0")
    copy = dump(rig.client)
    find = heal_module._last_common  # pyright: ignore[reportPrivateUsage]

    def raced(*args: object) -> StoredEvent | None:
        found = find(*args)  # pyright: ignore[reportArgumentType]
        rig.client.delete(keys.stream)
        for number in range(1, 4):
            rig.client.xadd(keys.stream, {"e": "{}", "i": f"x{number}", "t": "1"}, id=f"{number}-0")
        return found

    rig.client.xdel(keys.stream, "4-0")
    with patched(heal_module, "_last_common", raced), rig.worker(audit_seconds=0.3) as worker:
        wait_until(lambda: status(rig)["totals"]["quarantined"], "it is quarantined")
        worker.stop()
    assert "quarantined: FORKED default:s0" in caplog.text
    assert "1 quarantined" in advice(rig)
    assert "turnlog parked --retry SESSION" in advice(rig)
    restore(rig.client, copy)
    retry(rig.projection(), "default", "s0")
    with working(rig):
        rig.writer.append("s0", turn("later"))
        rig.wait_projected()
    assert advice(rig) == ""


def test_a_redis_that_begins_to_evict_stops_the_worker(rig: Rig) -> None:
    fill(rig)
    with rig.worker() as worker:
        rig.wait_projected()
        rig.client.config_set("maxmemory-policy", "volatile-lru")
        try:
            wait_until(lambda: not worker.alive, "the worker stops")
            assert "maxmemory-policy is volatile-lru; set it to noeviction" in advice(rig)
        finally:
            rig.client.config_set("maxmemory-policy", "noeviction")
        with pytest.raises(UnsafeServer, match="maxmemory-policy is volatile-lru"):
            worker.stop()


class Silent:
    """A Redis whose INFO does not tell the policy, as some hosted ones."""

    def __init__(self, client: redis.Redis, *, config: bool) -> None:
        self._client = client
        self._config = config

    def info(self) -> dict[str, object]:
        found = cast(dict[str, object], self._client.info())
        return {name: value for name, value in found.items() if name != "maxmemory_policy"}

    def config_get(self, name: str) -> object:
        if not self._config:
            raise ResponseError("NOPERM this user has no permissions to run the 'config' command")
        return self._client.config_get(name)


def test_a_policy_that_is_not_told(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    client = connect_redis(rig.redis_url)
    try:
        client.config_set("maxmemory-policy", "allkeys-lru")
        with pytest.raises(UnsafeServer, match="allkeys-lru"):
            check_redis(cast(redis.Redis, Silent(client, config=True)))
    finally:
        client.config_set("maxmemory-policy", "noeviction")
    database._warn_unknown_policy.cache_clear()  # pyright: ignore[reportPrivateUsage]
    caplog.set_level(logging.WARNING)
    for _ in range(2):
        check_redis(cast(redis.Redis, Silent(client, config=False)))
    said = [each for each in caplog.messages if "does not tell its maxmemory-policy" in each]
    assert len(said) == 1
    client.close()


def test_parked_sessions_are_told_apart_from_quarantined_ones(rig: Rig) -> None:
    fill(rig)
    with working(rig):
        pass
    rig.client.xadd(rig.writer.keys("s0").stream, {"foo": "bar"}, id="9-0")
    projection = rig.projection()
    rig.audit_all(projection)
    assert [each.error.partition(":")[0] for each in list_parked(rig.connection)] == ["quarantined"]
    totals = status(rig)["totals"]
    assert (totals["parked"], totals["quarantined"]) == (1, 1)
    assert "parked: see" not in advice(rig)
