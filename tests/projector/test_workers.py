"""Workers share the partitions, take over from each other, outlive outages, and refuse what would
lose events."""

import time

import pytest
from appending import event, turn
from redis.exceptions import ResponseError
from rig import Rig, dump, restore
from servers import wait_until

from turnlog_producers.keys import META
from turnlog_projector.errors import NotReady, UnsafeServer, WrongLog
from turnlog_projector.repair import adopt
from turnlog_projector.settings import Settings
from turnlog_projector.worker import Worker

pytestmark = pytest.mark.integration


def owners(rig: Rig) -> dict[str | None, int]:
    """How many partitions each worker holds by a lease that has not run out."""
    rows = rig.connection.execute(
        "SELECT CASE WHEN until > now() THEN worker END AS worker, count(*)"
        " FROM turnlog.leases GROUP BY 1"
    )
    return {row[0]: row[1] for row in rows}


def shares(rig: Rig) -> list[int]:
    """The shares of the workers, and 0 for nothing."""
    return sorted(count for worker, count in owners(rig).items() if worker is not None)


def fill(rig: Rig, sessions: int = 8) -> None:
    """A turn for each of some sessions."""
    number = int(time.monotonic() * 1e6)
    for session in range(sessions):
        rig.writer.append(f"s{session}", turn(f"t{number}"))


def run_briefly(rig: Rig) -> None:
    """A worker that has nothing to stop it: it ends only by an error."""
    until = time.monotonic() + 10
    settings = Settings(redis_url=rig.redis_url, postgres_url=rig.postgres_url)
    Worker(settings, lambda: time.monotonic() > until).run()
    raise AssertionError("the worker ran on")


def test_two_workers_share_and_one_takes_over(rig: Rig) -> None:
    with rig.worker() as first:
        wait_until(lambda: shares(rig) == [4], "the first worker owns all")
        with rig.worker() as second:
            wait_until(lambda: shares(rig) == [2, 2], "both own half")
            fill(rig)
            rig.wait_projected()
            first.stop()
            wait_until(lambda: shares(rig) == [4], "the second worker owns all")
            fill(rig)
            rig.wait_projected()
            second.stop()
    assert owners(rig) == {None: 4}


def test_more_workers_than_partitions(rig: Rig) -> None:
    workers = [rig.worker() for _ in range(6)]
    wait_until(lambda: shares(rig) == [1, 1, 1, 1], "four of six own one each")
    fill(rig)
    rig.wait_projected()
    for worker in workers:
        worker.stop()


def test_a_worker_whose_connection_is_cut_goes_on(rig: Rig) -> None:
    with rig.worker() as worker:
        for _ in range(3):
            fill(rig)
            rig.wait_projected()
            rig.connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'turnlog projector' AND datname = current_database()"
            )
            fill(rig)
            rig.wait_projected()
        assert worker.alive


def test_redis_connections_that_are_cut_are_made_again(rig: Rig) -> None:
    with rig.worker():
        fill(rig)
        rig.wait_projected()
        for kind in ("normal", "pubsub"):
            rig.client.client_kill_filter(_type=kind, skipme=True)
            fill(rig)
            rig.wait_projected()


def test_turns_are_projected_while_partitions_are_audited(rig: Rig) -> None:
    """An audit that finds sessions behind waits for their projection: which must go on."""
    with rig.worker(audit_seconds=0.05):
        for _ in range(40):
            fill(rig)
        rig.wait_projected()


def test_a_session_that_a_producer_found_damaged_is_healed_at_once(rig: Rig) -> None:
    with rig.worker():
        fill(rig)
        rig.wait_projected()
        rig.client.delete(rig.writer.keys("s0").stream)

        def accepted() -> bool:
            try:
                rig.writer.append("s0", turn("later", event_id="later"))
            except ResponseError as error:
                if str(error).startswith("LOST"):
                    return False
                raise
            return True

        wait_until(accepted, "the session takes events again")
        rig.wait_projected()


def test_redis_rewound_under_a_running_worker(rig: Rig) -> None:
    """As after a failover to a replica that was behind: the worker is connected all the time."""
    with rig.worker():
        fill(rig)
        rig.wait_projected()
        copy = dump(rig.client)
        for number in range(3):
            rig.writer.append("s0", turn(f"lost{number}"))
            rig.writer.append("s1", turn(f"lost{number}"))
        rig.wait_projected()
        restore(rig.client, copy)
        for number in range(2):
            rig.writer.append("s0", turn(f"newer{number}"))
        rig.wait_projected()
        rows = rig.connection.execute(
            "SELECT count(*) FROM g1.turns WHERE session_id = 's0'"
        ).fetchone()
        assert rows == (6,)


def test_an_empty_redis_stops_the_worker_until_adopted(rig: Rig) -> None:
    fill(rig)
    rig.drain(rig.projection())
    rig.client.flushdb()
    with pytest.raises(WrongLog, match="turnlog repair --adopt"):
        run_briefly(rig)
    assert rig.client.dbsize() == 0
    assert "held no log" in adopt(rig.redis_url, rig.postgres_url)
    with rig.worker(audit_seconds=1.0):
        rig.wait_projected()
        fill(rig)
        rig.wait_projected()
    assert "nothing to do" in adopt(rig.redis_url, rig.postgres_url)


def test_a_redis_emptied_under_a_running_worker_stops_it(rig: Rig) -> None:
    fill(rig)
    worker = rig.worker()
    rig.wait_projected()
    rig.client.flushdb()
    wait_until(lambda: not worker.alive, "the worker stops")
    with pytest.raises(WrongLog):
        worker.stop()
    assert rig.client.dbsize() == 0


def test_another_log_stops_the_worker_until_adopted(rig: Rig) -> None:
    fill(rig)
    rig.drain(rig.projection())
    rig.client.flushdb()
    rig.client.set(META, '{"log_id": "another", "partitions": 4}')
    rig.writer.append("s0", turn("other"))
    rig.writer.append("of-the-other", event("session.started", {"user_id": "u"}), owner="u")
    with pytest.raises(WrongLog, match="log another"):
        run_briefly(rig)
    adopt(rig.redis_url, rig.postgres_url)
    with rig.worker(audit_seconds=1.0):
        rig.wait_projected()
    turns = rig.connection.execute("SELECT count(*) FROM g1.turns WHERE session_id = 's0'")
    assert turns.fetchone() == (2,)


def test_a_log_of_other_partitions_is_never_adopted(rig: Rig) -> None:
    rig.client.set(META, '{"log_id": "another", "partitions": 8}')
    with pytest.raises(WrongLog, match="cannot be merged"):
        adopt(rig.redis_url, rig.postgres_url)


def test_a_database_that_was_not_initialised_is_refused(redis_url: str, postgres_url: str) -> None:
    settings = Settings(redis_url=redis_url, postgres_url=postgres_url)
    with pytest.raises(NotReady, match="turnlog init"):
        Worker(settings, lambda: False).run()


def test_a_schema_of_a_later_release_is_refused(rig: Rig) -> None:
    rig.connection.execute("INSERT INTO turnlog.migrations VALUES (9999, 'later')")
    with pytest.raises(NotReady, match="upgrade turnlog"):
        run_briefly(rig)


def test_a_redis_that_may_evict_is_refused(rig: Rig) -> None:
    rig.client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        with pytest.raises(UnsafeServer, match="noeviction"):
            run_briefly(rig)
    finally:
        rig.client.config_set("maxmemory-policy", "noeviction")


def test_idle_workers_leave_the_database_alone(rig: Rig) -> None:
    """Nothing is written but leases: the epochs of idle partitions stand still."""
    fill(rig)
    with rig.worker(audit_seconds=0.2):
        rig.wait_projected()
        before = rig.connection.execute("SELECT * FROM turnlog.offsets ORDER BY 1").fetchall()
        time.sleep(1.5)
        after = rig.connection.execute("SELECT * FROM turnlog.offsets ORDER BY 1").fetchall()
    assert before == after
