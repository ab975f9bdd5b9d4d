"""Trimming: what the archive has held for long enough leaves Redis, and nothing else does."""

from datetime import timedelta
from itertools import zip_longest

import pytest
from appending import event, poison, turn
from rig import Rig, patched
from trimming import AT_ONCE, WEEK, head, in_redis, mark_now, trim, trim_by

from turnlog_producers.head import Head
from turnlog_projector import trim as trim_module
from turnlog_projector.log import SessionKey
from turnlog_projector.trim import Trimmed, Trimmer
from turnlog_projector.trim_marks import TrimRule, cuts

pytestmark = pytest.mark.integration


def fill(rig: Rig, session_id: str = "s", turns: int = 4, *, start: int = 0) -> None:
    """Append turns, one a call."""
    for number in range(start, start + turns):
        rig.writer.append(session_id, turn(f"t{number}", f"turn {number}"))


def index_of(rig: Rig, session_id: str = "s") -> list[int]:
    """The numbers of the index entries of a session's partition."""
    entries = rig.client.xrange(rig.writer.keys(session_id).index)
    return [int(id_.split(b"-")[0]) for id_, _ in entries]  # pyright: ignore


def test_a_quiet_session_keeps_nothing_but_its_head(rig: Rig) -> None:
    owner = event("session.started", {"user_id": "u 1"})
    rig.writer.append("s", owner, owner="u 1")
    fill(rig)
    before = head(rig, "s")
    rig.drain(rig.projection())
    assert trim(rig) == Trimmed(events=5, sessions=1, cold=1, index_entries=4)
    assert head(rig, "s") == before._replace(base=5, flags="sc")
    assert in_redis(rig, "s") == (0, 0)
    rig.check()
    assert trim(rig) == Trimmed()


def test_what_is_not_archived_stays(rig: Rig) -> None:
    fill(rig, turns=3)
    rig.drain(rig.projection())
    fill(rig, turns=2, start=3)
    assert trim(rig) == Trimmed(events=3, sessions=1, index_entries=2)
    assert in_redis(rig, "s") == (2, 2)
    assert head(rig, "s").base == 3
    rig.drain(rig.projection())
    rig.check()


def test_what_was_archived_just_now_stays_however_old_it_is(rig: Rig) -> None:
    """recorded_at says nothing: the projector may have been away for a week."""
    fill(rig)
    rig.drain(rig.projection())
    assert trim(rig, older_than=WEEK) == Trimmed()
    assert in_redis(rig, "s") == (4, 4)


def test_what_the_archive_has_held_for_a_week_goes(rig: Rig) -> None:
    projection = rig.projection()
    fill(rig, "quiet")
    fill(rig, "live")
    rig.drain(projection)
    mark_now(rig, ago=WEEK)
    fill(rig, "live", start=4)
    rig.drain(projection)
    done = trim(rig, older_than=WEEK, quiet_after=WEEK)
    assert (done.events, done.sessions, done.cold) == (8, 2, 1)
    assert in_redis(rig, "quiet") == (0, 0)
    assert in_redis(rig, "live") == (4, 4)
    rig.check()


def test_a_live_session_keeps_its_newest_events(rig: Rig) -> None:
    projection = rig.projection()
    fill(rig, "quiet", 10)
    fill(rig, "live", 10)
    rig.drain(projection)
    mark_now(rig, ago=WEEK)
    fill(rig, "live", 1, start=10)
    rig.drain(projection)
    trim(rig, older_than=WEEK, quiet_after=WEEK, keep=4)
    assert in_redis(rig, "quiet") == (0, 0)
    assert in_redis(rig, "live") == (4, 4)
    assert head(rig, "live").base == 7


def test_by_count_alone(rig: Rig) -> None:
    fill(rig, turns=10)
    rig.drain(rig.projection())
    assert trim(rig, quiet_after=WEEK, keep=3).events == 7
    assert in_redis(rig, "s") == (3, 3)
    assert trim(rig, quiet_after=WEEK, keep=3).events == 0


def test_a_dry_run_only_counts(rig: Rig) -> None:
    fill(rig, "a", 3)
    fill(rig, "b", 2)
    rig.drain(rig.projection())
    assert trim(rig, dry_run=True) == Trimmed(events=5, sessions=2, cold=2)
    assert in_redis(rig, "a") == (3, 3)
    assert len(index_of(rig, "a")) + len(index_of(rig, "b")) >= 5


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_large_session_goes_in_steps(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, dry_run: bool
) -> None:
    monkeypatch.setattr(trim_module, "_EVENTS_AT_ONCE", 7)
    fill(rig, turns=30)
    rig.drain(rig.projection())
    done = trim(rig, dry_run=dry_run)
    assert (done.events, done.sessions, done.cold) == (30, 1, 1)
    rig.check()


def test_many_sessions_go_in_steps(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trim_module, "_SESSIONS_AT_ONCE", 3)
    for number in range(20):
        fill(rig, f"s{number}", 2)
    rig.drain(rig.projection())
    done = trim(rig)
    assert (done.events, done.sessions, done.cold) == (40, 20, 20)
    rig.check()


def test_a_session_that_goes_on_meanwhile_is_not_quiet(rig: Rig) -> None:
    """An append between the question to the archive and the script."""
    fill(rig)
    projection = rig.projection()
    rig.drain(projection)
    mark_now(rig)
    rule = TrimRule.of(AT_ONCE, AT_ONCE, 0)
    trimmer = Trimmer(projection.log, rig.connection, rule)
    read = projection.log.heads

    def late(partition: int, cursor: int, count: int) -> tuple[int, dict[SessionKey, Head]]:
        found = read(partition, cursor, count)
        if partition == rig.key("s").partition:
            fill(rig, turns=1, start=4)
        return found

    with patched(projection.log, "heads", late):
        for cut in cuts(rig.connection, range(rig.partitions), rule):
            for _ in trimmer.partition(cut):
                pass
    assert in_redis(rig, "s") == (5, 5)
    assert trimmer.done.events == 0


def test_an_archive_that_lacks_an_event_keeps_the_session(rig: Rig) -> None:
    fill(rig, "damaged")
    fill(rig, "sound")
    rig.drain(rig.projection())
    rig.connection.execute("DELETE FROM turnlog.archive WHERE session_id = 'damaged' AND seq = 2")
    done = trim(rig)
    assert (done.events, done.left) == (4, 1)
    assert in_redis(rig, "damaged") == (4, 4)


@pytest.mark.parametrize(
    ("column", "value"), [("event_id", "another"), ("recorded_at", "7")], ids=["id", "time"]
)
@pytest.mark.parametrize("seq", [2, 4])
def test_an_archive_that_holds_another_event_keeps_the_session(
    rig: Rig, seq: int, column: str, value: str
) -> None:
    fill(rig)
    rig.drain(rig.projection())
    rig.connection.execute(
        f"UPDATE turnlog.archive SET {column} = %s WHERE seq = %s",  # pyright: ignore
        (value, seq),
    )
    done = trim(rig)
    if column == "recorded_at" and seq < 4:
        return  # the last event stands for those before it
    assert (done.events, done.left) == (0, 1)
    assert in_redis(rig, "s") == (4, 4)


@pytest.mark.parametrize("lost", ["stream", "ids"])
def test_a_damaged_session_is_left_to_the_audit(rig: Rig, lost: str) -> None:
    fill(rig)
    projection = rig.projection()
    rig.drain(projection)
    rig.client.delete(getattr(rig.writer.keys("s"), lost))
    assert trim(rig).left == 1
    assert rig.audit_all(projection) == 1
    rig.check()
    assert trim(rig).cold == 1


def test_the_index_keeps_the_anchor_and_what_is_not_projected(rig: Rig) -> None:
    fill(rig, turns=5)
    rig.drain(rig.projection())
    fill(rig, turns=2, start=5)
    trim(rig)
    assert index_of(rig) == [5, 6, 7]
    projection = rig.projection()
    rig.drain(projection)
    rig.check()
    trim(rig)
    assert index_of(rig) == [7]


def test_the_index_stays_for_an_hour(rig: Rig) -> None:
    fill(rig, turns=5)
    rig.drain(rig.projection())
    trim(rig, older_than=WEEK, quiet_after=WEEK)
    assert len(index_of(rig)) == 5
    mark_now(rig, ago=timedelta(hours=2))
    trim_by(rig, TrimRule.of(WEEK, WEEK, 0))
    assert index_of(rig) == [5]


def test_an_index_that_lost_its_anchor_is_not_trimmed(rig: Rig) -> None:
    fill(rig, turns=5)
    rig.drain(rig.projection())
    rig.client.xdel(rig.writer.keys("s").index, "5-0")
    trim(rig)
    assert index_of(rig) == [1, 2, 3, 4]


def test_a_parked_session_is_trimmed_like_others(rig: Rig) -> None:
    rig.writer.append("s", turn("t0"), poison(), turn("t1"))
    rig.drain(rig.projection())
    assert rig.count("parked") == 1
    assert trim(rig).cold == 1
    rig.check()


def test_two_who_trim_do_not_disturb_each_other(rig: Rig) -> None:
    for number in range(10):
        fill(rig, f"s{number}", 3)
    rig.drain(rig.projection())
    mark_now(rig)
    rule = TrimRule.of(AT_ONCE, AT_ONCE, 0)
    found = cuts(rig.connection, range(rig.partitions), rule)
    both = [Trimmer(rig.projection().log, rig.connection, rule) for _ in range(2)]
    for cut in found:
        for _ in zip_longest(*[trimmer.partition(cut) for trimmer in both]):
            continue
    assert both[0].done.events + both[1].done.events == 30
    assert both[0].done.left + both[1].done.left == 0
    rig.check()
