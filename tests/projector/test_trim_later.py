"""A session that was trimmed goes on as if it had not been: appends, repeats, losses, healing."""

from collections.abc import Callable

import pytest
import redis
from appending import event, turn
from restoring import replayed
from rig import Rig, dump, patched, restore
from trimming import WEEK, head, in_redis, mark_now, trim
from verifying import run_verify

from turnlog_producers.scripts import load_script
from turnlog_projector import heal as heal_module
from turnlog_projector.audit import settle

pytestmark = pytest.mark.integration

KEPT = pytest.mark.parametrize("keep", [0, 2], ids=["cold", "trimmed"])


def begin(rig: Rig, keep: int = 0) -> None:
    """A session of a user, of seven events; trimmed but for `keep` of them."""
    rig.writer.append("s", event("session.started", {"user_id": "ann"}), owner="ann")
    for number in range(6):
        rig.writer.append("s", turn(f"t{number}", event_id=f"e{number}"))
    rig.drain(rig.projection())
    assert trim(rig, quiet_after=WEEK, keep=keep).events == 7 - keep
    assert head(rig, "s").base == 7 - keep


def archived(rig: Rig) -> list[tuple[str, int | None]]:
    """Event id and the seq that it repeats, by seq."""
    rows = rig.connection.execute(
        "SELECT event_id, repeat_of FROM turnlog.archive WHERE session_id = 's' ORDER BY seq"
    )
    return [(row[0], row[1]) for row in rows]


@KEPT
def test_an_append_goes_on_at_the_next_seq(rig: Rig, keep: int) -> None:
    begin(rig, keep)
    before = head(rig, "s")
    reply = rig.writer.append("s", turn("later"))
    assert reply.seqs == [8]
    assert reply.repeats == [0]
    rig.drain(rig.projection())
    rig.check()
    assert head(rig, "s")[:2] == (8, 7 - keep)
    assert head(rig, "s").flags == "s"
    assert head(rig, "s").owner == before.owner
    assert trim(rig).cold == 1
    assert head(rig, "s").flags == "sc"
    rig.check()


@KEPT
def test_a_repeat_that_redis_no_longer_knows_folds_to_nothing(rig: Rig, keep: int) -> None:
    begin(rig, keep)
    reply = rig.writer.append("s", turn("t0", "sent again", event_id="e0"))
    assert (reply.seqs, reply.repeats) == ([8], [0])
    rig.drain(rig.projection())
    assert archived(rig)[7] == ("e0", 2)
    rig.check()
    again = rig.writer.append("s", turn("t0", "sent again", event_id="e0"))
    assert (again.seqs, again.repeats) == ([8], [1])
    assert trim(rig).cold == 1
    rig.check()


@KEPT
def test_a_repeat_of_the_last_event_is_known(rig: Rig, keep: int) -> None:
    begin(rig, keep)
    reply = rig.writer.append("s", turn("t5", event_id="e5"))
    assert (reply.seq, reply.seqs, reply.repeats) == (7, [7], [1])
    assert in_redis(rig, "s") == (keep, keep)


@KEPT
def test_a_repeat_and_its_first_event_leave_redis_together_and_apart(rig: Rig, keep: int) -> None:
    begin(rig, keep)
    projection = rig.projection()
    rig.writer.append("s", turn("t0", event_id="e0"))
    rig.writer.append("s", turn("new", event_id="new"))
    rig.drain(projection)
    trim(rig, quiet_after=WEEK, keep=1)
    assert in_redis(rig, "s") == (1, 1)
    assert rig.writer.append("s", turn("t0", event_id="e0")).seqs == [10]
    rig.drain(projection)
    assert [place for place, (id_, _) in enumerate(archived(rig), 1) if id_ == "e0"] == [2, 8, 10]
    assert [first for id_, first in archived(rig) if id_ == "e0"] == [None, 2, 2]
    rig.check()


@KEPT
def test_an_expected_seq_and_the_owner_are_asked_for(rig: Rig, keep: int) -> None:
    begin(rig, keep)
    keys, args = rig.writer.call("s", [turn("x")])
    for place, value, answer in ((3, 6, "CONFLICT 6 7"), (2, "bob", "NOT_OWNER")):
        asked = [*args]
        asked[place] = value
        with pytest.raises(redis.ResponseError, match=answer):
            rig.client.eval(load_script("append").source, 4, *keys, *asked)
    args[2], args[3] = "ann", 7
    assert rig.client.eval(load_script("append").source, 4, *keys, *args)[1] == 8  # pyright: ignore


@KEPT
def test_a_second_start_is_not_written(rig: Rig, keep: int) -> None:
    """Clients send a session.started along with each first append: the head knows of the first."""
    begin(rig, keep)
    started = event("session.started", {"user_id": "bob"})
    keys, args = rig.writer.call("s", [turn("x")], owner="bob")
    args[5:7] = [started.event_id, started.raw]
    assert rig.client.eval(load_script("append").source, 4, *keys, *args)[1] == 8  # pyright: ignore
    assert head(rig, "s").owner == "ann"


@KEPT
def test_an_audit_finds_nothing_wrong(rig: Rig, keep: int) -> None:
    begin(rig, keep)
    before = dump(rig.client)
    assert rig.audit_all(rig.projection()) == 0
    assert dump(rig.client) == before
    assert rig.count("healings") == 0


@KEPT
def test_a_verification_finds_nothing_wrong(rig: Rig, keep: int) -> None:
    begin(rig, keep)
    report, differences = run_verify(rig)
    assert differences == []
    assert (report.events, report.digest) == (7, report.expected)
    rig.writer.append("s", turn("t0", event_id="e0"), turn("later"))
    rig.drain(rig.projection())
    assert run_verify(rig)[1] == []


@KEPT
def test_a_replay_gives_the_same(rig: Rig, keep: int) -> None:
    begin(rig, keep)
    rig.writer.append("s", turn("t0", event_id="e0"), turn("later"))
    rig.drain(rig.projection())
    before = run_verify(rig)[0].digest
    replayed(rig)
    rig.check()
    assert run_verify(rig)[0].digest == before


@KEPT
def test_a_settling_for_nothing_changes_nothing(rig: Rig, keep: int) -> None:
    """What the audit saw may have been between two states of a trim."""
    begin(rig, keep)
    before = dump(rig.client)
    projection = rig.projection()
    with patched(type(projection.log), "is_sound", lambda *_: False):
        settle(projection, rig.key("s"), "a test says so")
    assert dump(rig.client) == before
    assert rig.count("healings") == 0


@KEPT
@pytest.mark.parametrize("lost", ["stream", "ids", "head", "everything"])
def test_whatever_is_lost_comes_back(rig: Rig, keep: int, lost: str) -> None:
    begin(rig, keep)
    rig.writer.append("s", turn("later"))
    rig.drain(rig.projection())
    keys = rig.writer.keys("s")
    if lost in ("head", "everything"):
        rig.client.hdel(keys.heads, keys.field)
    if lost == "everything":
        rig.client.delete(keys.stream, keys.ids)
    if lost in ("stream", "ids"):
        rig.client.delete(getattr(keys, lost))
    projection = rig.projection()
    assert rig.audit_all(projection) == 1
    rig.check()
    assert head(rig, "s").owner == "ann"
    assert rig.writer.append("s", turn("afterwards")).seqs == [9]
    rig.drain(projection)
    rig.check()
    assert trim(rig).cold == 1
    rig.check()


def test_a_cold_session_that_lost_its_head_comes_back(rig: Rig) -> None:
    begin(rig)
    keys = rig.writer.keys("s")
    rig.client.hdel(keys.heads, keys.field)
    projection = rig.projection()
    assert rig.audit_all(projection) == 1
    rig.check()
    assert head(rig, "s").flags == "s"
    assert rig.writer.append("s", turn("t0", event_id="e0")).repeats == [1]


@KEPT
def test_only_the_newest_events_are_given_back(rig: Rig, keep: int) -> None:
    begin(rig, keep)
    rig.client.hdel(rig.writer.keys("s").heads, rig.writer.keys("s").field)
    projection = rig.projection()
    with patched(heal_module, "MAX_RESTORED_EVENTS", 3):
        assert rig.audit_all(projection) == 1
    assert head(rig, "s")[:2] == (7, 4)
    assert in_redis(rig, "s") == (3, 3)
    rig.check()


@KEPT
@pytest.mark.parametrize("went_on", [False, True], ids=["alone", "with new events"])
def test_a_redis_that_went_back_in_time(rig: Rig, keep: int, went_on: bool) -> None:
    """It comes back as it was when the session had just been trimmed."""
    begin(rig, keep)
    copy = dump(rig.client)
    rig.writer.append("s", turn("lost1"))
    rig.writer.append("s", turn("lost2"))
    rig.drain(rig.projection())
    restore(rig.client, copy)
    if went_on:
        assert rig.writer.append("s", turn("new")).seqs == [8]
    projection = rig.projection()
    rig.drain(projection)
    rig.audit_all(projection)
    rig.check()
    assert head(rig, "s").seq == (10 if went_on else 9)


@KEPT
def test_a_redis_from_before_the_trimming(rig: Rig, keep: int) -> None:
    copy = dump(rig.client)
    begin(rig, keep)
    restore(rig.client, copy)
    projection = rig.projection()
    rig.drain(projection)
    rig.audit_all(projection)
    rig.check()
    assert head(rig, "s")[:2] == (7, 0)


def test_a_database_that_begins_afresh_finds_what_the_index_no_longer_tells(
    rig: Rig, new_postgres_url: Callable[[], str]
) -> None:
    for session_id, turns in (("whole", 4), ("s", 6)):
        for number in range(turns):
            rig.writer.append(session_id, turn(f"t{number}"))
    rig.drain(rig.projection())
    assert trim(rig, quiet_after=WEEK, keep=4).events == 2
    fresh = Rig(rig.redis_url, new_postgres_url(), partitions=rig.partitions)
    try:
        projection = fresh.projection()
        fresh.drain(projection)
        fresh.audit_all(projection)
        assert [row[1] for row in archived_sessions(fresh)] == ["whole"]
        assert fresh.count("parked") == 1
    finally:
        fresh.close()


def archived_sessions(rig: Rig) -> list[tuple[object, ...]]:
    """Sessions and how far they are archived."""
    return rig.connection.execute(
        "SELECT tenant, session_id, seq FROM turnlog.heads WHERE seq > 0"
    ).fetchall()


@pytest.mark.parametrize("came", [False, True], ids=["nothing", "something"])
def test_a_quiet_session_stays_cold_when_redis_has_lost_everything(rig: Rig, came: bool) -> None:
    """Years of conversations must not come back into memory."""
    begin(rig)
    mark_now(rig, ago=WEEK)
    rig.writer.append("young", turn("t0"))
    rig.drain(rig.projection())
    keys = rig.writer.keys("s")
    for partition in range(rig.partitions):
        rig.client.delete(f"{{tl:{partition}}}:heads", f"{{tl:{partition}}}:index")
    if came:
        rig.writer.append("s", turn("new"))
    projection = rig.projection()
    projection.trim_after = WEEK
    rig.drain(projection)
    rig.audit_all(projection)
    rig.check()
    healed = head(rig, "s")
    assert (healed.owner, healed.seq - healed.base) == ("ann", 1 if came else 0)
    assert healed.flags == ("s" if came else "sc")
    assert rig.client.exists(keys.ids) == came
    assert in_redis(rig, "young") == (1, 1)
    assert rig.audit_all(projection) == 0
    assert rig.writer.append("s", turn("later")).seqs == [9 if came else 8]
    rig.drain(projection)
    rig.check()
