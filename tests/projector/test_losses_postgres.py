"""Postgres comes back from an older backup: what it lacks is projected again from the log."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from urllib.parse import urlsplit

import psycopg
import pytest
from appending import event, turn
from psycopg import sql
from rig import Rig
from servers import SharedServers, wait_until
from trimming import mark_now, trim
from watching import advice, healed, status

from turnlog_projector.errors import NothingLost
from turnlog_projector.parking import list_parked
from turnlog_projector.repair import go_on_without

pytestmark = pytest.mark.integration

WEEK = timedelta(days=7)


class Restored:
    """A database, and a backup of it that was made at some moment."""

    def __init__(self, rig: Rig, servers: SharedServers, backup_url: str) -> None:
        self.rig = rig
        self._servers = servers
        self._backup_url = backup_url
        self._made: list[Rig] = []

    def back_up(self) -> None:
        """Copy the database as it is now."""
        name, source = (urlsplit(u).path[1:] for u in (self._backup_url, self.rig.postgres_url))
        self.rig.close()
        with psycopg.connect(self._servers.postgres_url("postgres"), autocommit=True) as admin:
            admin.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))
            copy = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
            admin.execute(copy.format(sql.Identifier(name), sql.Identifier(source)))
        self.rig = self._open(self.rig.postgres_url)

    def restore(self) -> Rig:
        """Go on with the copy."""
        return self._open(self._backup_url)

    def _open(self, url: str) -> Rig:
        made = Rig(self.rig.redis_url, url, partitions=self.rig.partitions)
        self._made.append(made)
        return made

    def close(self) -> None:
        for made in self._made:
            made.close()


@pytest.fixture
def restored(
    rig: Rig, shared_servers: SharedServers, new_postgres_url: Callable[[], str]
) -> Iterator[Restored]:
    made = Restored(rig, shared_servers, new_postgres_url())
    yield made
    made.close()


def fill(rig: Rig) -> None:
    for session in range(4):
        started = event("session.started", {"user_id": "ann"})
        rig.writer.append(f"s{session}", started, turn("t0"), turn("t1"), owner="ann")


def go_on(rig: Rig) -> None:
    """What the backup does not know: turns, changes of earlier ones, another session."""
    for session in range(4):
        rig.writer.append(f"s{session}", turn("t2"))
        rig.writer.append(f"s{session}", event("turn.edited", {"turn_id": "t0", "content": "x"}))
    rig.writer.append("young", turn("t0"))


@pytest.mark.parametrize("trimmed", [False, True], ids=["whole", "without its old entries"])
def test_rows_and_archive_are_brought_up_to_the_log(restored: Restored, trimmed: bool) -> None:
    fill(restored.rig)
    restored.rig.drain(restored.rig.projection())
    restored.back_up()
    go_on(restored.rig)
    restored.rig.drain(restored.rig.projection())
    if trimmed:
        for partition in range(restored.rig.partitions):
            restored.rig.client.xtrim(f"{{tl:{partition}}}:index", maxlen=1, approximate=False)
    older = restored.restore()
    older.writer.append("s0", turn("t3"))
    with older.worker() as worker:
        older.wait_projected()
        worker.stop()
    assert set(healed(older)) <= ({"indexes"} if trimmed else set())
    assert advice(older) == ""


def test_what_redis_has_trimmed_since_is_told(
    restored: Restored, caplog: pytest.LogCaptureFixture
) -> None:
    fill(restored.rig)
    restored.rig.drain(restored.rig.projection())
    restored.back_up()
    go_on(restored.rig)
    restored.rig.drain(restored.rig.projection())
    mark_now(restored.rig, ago=WEEK)
    # One is quiet and leaves Redis whole, another keeps its newest events.
    restored.rig.writer.append("s1", turn("t3"))
    restored.rig.drain(restored.rig.projection())
    trim(restored.rig, quiet_after=WEEK, keep=1)
    restored.rig.writer.append("s1", turn("t4"))
    older = restored.restore()
    with older.worker(audit_seconds=0.3) as worker:
        wait_until(lambda: status(older)["totals"]["quarantined"] == 5, "they are quarantined")
        older.writer.append("new", turn("t0"))
        wait_until(lambda: older.count("archive") == 13, "other sessions go on")
        worker.stop()
    parked = {each.session_id: each.error for each in list_parked(older.connection)}
    assert parked["s0"].startswith(
        "quarantined: events 4 to 5 have left Redis and are not in this archive: restore a newer"
    )
    assert "5 quarantined" in advice(older)
    assert "turnlog archive dump" in caplog.text
    # There is no newer backup: an operator goes on without them.
    with pytest.raises(NothingLost):
        go_on_without(older.redis_url, older.postgres_url, "default", "new")
    lost = {"s0": 2, "s1": 2, "s2": 2, "s3": 2, "young": 1}
    with older.worker(audit_seconds=0.3) as worker:
        for session_id, count in lost.items():
            found = go_on_without(older.redis_url, older.postgres_url, "default", session_id)
            assert found == count
        for session_id in lost:
            older.writer.append(session_id, turn("later"))
        older.wait_projected()
        worker.stop()
    assert list_parked(older.connection) == []
    assert healed(older)["events_lost"] == 9
    assert "9 events were lost for good" in advice(older)
    row = older.connection.execute(
        "SELECT array_agg(turn_id ORDER BY seq) FROM g1.turns WHERE session_id = 's1'"
    ).fetchone()
    assert row == (["t0", "t1", "t3", "t4", "later"],)
