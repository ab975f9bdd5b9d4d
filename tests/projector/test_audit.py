"""Audit and healing: whatever Redis loses, the archive gives back, and nothing is written twice."""

import pytest
from appending import event, turn
from rig import Rig, dump, patched, restore

from turnlog_projector import heal as heal_module
from turnlog_projector.audit import settle

pytestmark = pytest.mark.integration


def ids_of(rig: Rig, session_id: str) -> list[str]:
    """The event ids of a session by seq, as archived."""
    rows = rig.connection.execute(
        "SELECT event_id FROM turnlog.archive WHERE session_id = %s ORDER BY seq", (session_id,)
    )
    return [row[0] for row in rows]


def filled(rig: Rig, sessions: int = 6, turns: int = 4) -> None:
    """Some sessions, projected."""
    for session in range(sessions):
        started = event("session.started", {"user_id": f"u{session}"})
        rig.writer.append(f"s{session}", started, owner=f"u{session}")
        for number in range(turns):
            rig.writer.append(f"s{session}", turn(f"t{number}", f"turn {number}"))
    rig.drain(rig.projection())
    rig.check()


def test_an_index_entry_that_is_lost_cannot_hide_its_session(rig: Rig) -> None:
    filled(rig)
    index = rig.writer.keys("s0").index
    rig.writer.append("s0", turn("hidden"))
    lost = rig.writer.newest_index_id("s0")
    rig.writer.append("behind", turn("t0"))
    rig.client.xdel(index, lost)
    projection = rig.projection()
    rig.drain(projection)
    assert rig.audit_all(projection) == (0 if "hidden" in ids_of(rig, "s0") else 1)
    rig.check()


def test_an_anchor_that_is_lost_is_set_anew(rig: Rig) -> None:
    filled(rig)
    keys = rig.writer.keys("s0")
    rig.client.xdel(keys.index, rig.writer.newest_index_id("s0"))
    rig.writer.append("s0", turn("later"))
    rig.drain(rig.projection())
    rig.check()


def test_appends_during_an_audit_are_no_losses(rig: Rig) -> None:
    """What is appended while a head and its stream are looked at is in both or in neither."""
    filled(rig)
    projection = rig.projection()
    read_heads = projection.log.heads

    def heads(*args: int) -> object:
        found = read_heads(*args)
        for key in found[1]:
            rig.writer.append(key.session_id, turn(f"meanwhile-{key.partition}"))
        return found

    with patched(projection.log, "heads", heads):
        assert rig.audit_all(projection) == 0
    assert rig.count("healings") == 0
    rig.check()


def test_an_index_that_is_lost_as_a_whole(rig: Rig) -> None:
    filled(rig)
    for partition in range(rig.partitions):
        rig.client.delete(f"{{tl:{partition}}}:index")
    for session in range(6):
        rig.writer.append(f"s{session}", turn("later"))
    projection = rig.projection()
    rig.drain(projection)
    for partition in range(rig.partitions):
        rig.audit(projection, partition, move_anchor=True)
    rig.drain(projection)
    rig.check()


@pytest.mark.parametrize("lost", ["stream", "heads", "ids"])
def test_a_key_that_is_deleted_by_hand_comes_back(rig: Rig, lost: str) -> None:
    filled(rig)
    before = dump(rig.client)
    keys = rig.writer.keys("s0")
    if lost == "heads":
        rig.client.hdel(keys.heads, keys.field)
    else:
        rig.client.delete(getattr(keys, lost))
    projection = rig.projection()
    assert rig.audit_all(projection) == 1
    rig.check()
    rig.writer.append("s0", turn("later"))
    rig.drain(projection)
    rig.check()
    assert rig.client.hgetall(keys.ids).keys() > set()
    assert dump(rig.client).keys() == before.keys()


def test_a_retry_after_the_ids_were_deleted_is_no_second_event(rig: Rig) -> None:
    filled(rig)
    again = turn("again")
    rig.writer.append("s0", again)
    projection = rig.projection()
    rig.drain(projection)
    rig.client.delete(rig.writer.keys("s0").ids)
    try:
        rig.writer.append("s0", again)
    except Exception:  # refusing is as good; the audit mends it
        settle(projection, rig.key("s0"), "refused")
        rig.writer.append("s0", again)
    rig.writer.append("s1", turn("elsewhere"))
    rig.drain(projection)
    rig.check()
    row = rig.connection.execute(
        "SELECT count(*) FROM g1.turns WHERE session_id = 's0' AND turn_id = 'again'"
    ).fetchone()
    assert row == (1,)


def test_a_session_that_lost_its_stream_before_it_was_archived_goes_on(rig: Rig) -> None:
    rig.writer.append("gone", turn("t0"), turn("t1"))
    rig.client.delete(rig.writer.keys("gone").stream)
    projection = rig.projection()
    rig.drain(projection)
    settle(projection, rig.key("gone"), "a producer found it damaged")
    rig.writer.append("gone", turn("t2"))
    rig.drain(projection)
    assert ids_of(rig, "gone") != []


@pytest.mark.parametrize("archived", [0, 2])
@pytest.mark.parametrize("hole", [1, 3])
def test_a_hole_in_one_stream_does_not_stop_the_others(rig: Rig, archived: int, hole: int) -> None:
    """Whatever becomes of the damaged session, its neighbours of the partition are projected."""
    projection = rig.projection()
    turns = [turn(f"t{number}") for number in range(5)]
    if archived:
        rig.writer.append("damaged", *turns[:archived])
    rig.drain(projection)
    rig.writer.append("damaged", *turns[archived:])
    rig.client.xdel(rig.writer.keys("damaged").stream, f"{hole}-0")
    for number in range(8):
        rig.writer.append(f"n{number}", turn("t0"))
    rig.drain(projection)
    for number in range(8):
        assert ids_of(rig, f"n{number}") != []


def test_redis_loses_its_last_events_and_takes_new_ones_under_the_same_seqs(rig: Rig) -> None:
    filled(rig)
    copy = dump(rig.client)
    lost = {f"s{session}": [turn(f"lost{n}") for n in range(3)] for session in range(6)}
    for session_id, turns in lost.items():
        rig.writer.append(session_id, *turns)
    created = turn("new", event_id="created")
    rig.writer.append("young", created)
    projection = rig.projection()
    rig.drain(projection)
    archived = {session_id: ids_of(rig, session_id) for session_id in lost}
    restore(rig.client, copy)
    newer = {session_id: [turn(f"newer{n}") for n in range(2)] for session_id in lost}
    for session_id, turns in newer.items():
        rig.writer.append(session_id, turns[0])
        rig.writer.append(session_id, lost[session_id][1])  # its producer never saw the reply
        rig.writer.append(session_id, turns[1])
    rig.writer.append("young", turn("other"))
    rig.drain(projection)
    rig.audit_all(projection)
    rig.check()
    for session_id, ids in archived.items():
        assert ids_of(rig, session_id) == ids + [each.event_id for each in newer[session_id]]
    assert ids_of(rig, "young")[0] == "created"
    assert len(ids_of(rig, "young")) == 2


def test_an_index_refilled_up_to_the_anchor_is_found_out(rig: Rig) -> None:
    """The anchor's entry is there again, by a retry; what lies before it is not what was."""
    filled(rig, sessions=2)
    copy = dump(rig.client)
    first, second = sessions_of_one_partition(rig)
    retried = turn("retried")
    rig.writer.append(first, turn("lost"))
    rig.writer.append(second, retried)
    projection = rig.projection()
    rig.drain(projection)
    restore(rig.client, copy)
    rig.writer.append(first, turn("instead"))
    rig.writer.append(second, retried)
    rig.drain(projection)
    rig.audit_all(projection)
    rig.check()
    assert rig.connection.execute(
        "SELECT array_agg(turn_id ORDER BY seq) FROM g1.turns WHERE session_id = %s", (first,)
    ).fetchone() == (["lost", "instead"],)


def test_an_entry_that_tells_of_archived_seqs_must_tell_the_same(rig: Rig) -> None:
    """The anchor is there again, by a retry, and nothing has been audited: what comes after it
    shows that the seqs belong to other events now."""
    filled(rig, sessions=2)
    copy = dump(rig.client)
    first, second = sessions_of_one_partition(rig)
    retried = turn("retried")
    rig.writer.append(first, turn("lost1"))
    rig.writer.append(first, turn("lost2"))
    rig.writer.append(first, retried)
    projection = rig.projection()
    rig.drain(projection)
    restore(rig.client, copy)
    rig.writer.append(second, turn("other1"))
    rig.writer.append(second, turn("other2"))
    rig.writer.append(first, retried)
    rig.writer.append(first, turn("instead"))
    rig.drain(projection)
    assert len(ids_of(rig, first)) == 4
    rig.audit_all(projection)
    rig.check()


def sessions_of_one_partition(rig: Rig) -> tuple[str, str]:
    names = [f"p{n}" for n in range(50) if rig.key(f"p{n}").partition == 0]
    return names[0], names[1]


def test_an_acknowledged_erasure_survives_the_loss_of_what_was_before_it(rig: Rig) -> None:
    """Redis lost archived events, then took the erasure: healing must not drop the tombstone."""
    filled(rig, sessions=1)
    copy = dump(rig.client)
    rig.writer.append("s0", turn("lost"))
    projection = rig.projection()
    rig.drain(projection)
    restore(rig.client, copy)
    rig.writer.append("s0", event("session.erased"))
    rig.drain(projection)
    rig.audit_all(projection)
    rig.check()
    assert rig.connection.execute(
        "SELECT erased FROM g1.sessions WHERE session_id = 's0'"
    ).fetchone() == (True,)


def test_nothing_comes_back_behind_an_archived_tombstone(rig: Rig) -> None:
    filled(rig, sessions=1)
    copy = dump(rig.client)
    rig.writer.append("s0", event("session.erased"))
    projection = rig.projection()
    rig.drain(projection)
    restore(rig.client, copy)
    rig.writer.append("s0", turn("late"))
    rig.drain(projection)
    rig.audit_all(projection)
    rig.check()
    with pytest.raises(Exception, match="ERASED"):
        rig.writer.append("s0", turn("again"))


def test_a_repeat_of_what_the_healed_stream_no_longer_holds_is_marked(rig: Rig) -> None:
    """A stream is given back only its newest part; a retry of an older event is archived again, as
    a repeat that folds to nothing."""
    turns = [turn(f"t{number}") for number in range(8)]
    rig.writer.append("s", *turns)
    projection = rig.projection()
    rig.drain(projection)
    keys = rig.writer.keys("s")
    with patched(heal_module, "MAX_RESTORED_EVENTS", 3):
        rig.client.delete(keys.stream, keys.ids)
        rig.client.hdel(keys.heads, keys.field)
        rig.writer.append("s", turns[1], turn("new"), turns[6])
        rig.drain(projection)
        rig.audit_all(projection)
    assert rig.client.xlen(keys.stream) == 5
    rig.writer.append("s", turns[2], turns[7])
    rig.drain(projection)
    rig.check()
    rows = rig.connection.execute(
        "SELECT seq, repeat_of FROM turnlog.archive WHERE repeat_of IS NOT NULL ORDER BY seq"
    ).fetchall()
    assert rows == [(9, 2), (11, 3)]


def test_a_healing_is_reported(rig: Rig) -> None:
    filled(rig, sessions=1)
    rig.client.delete(rig.writer.keys("s0").stream)
    rig.audit_all(rig.projection())
    rows = rig.connection.execute(
        "SELECT session_id, from_seq, restored, moved, lost FROM turnlog.healings"
    ).fetchall()
    assert rows == [("s0", 1, 5, 0, 0)]


def test_a_sound_log_is_left_alone(rig: Rig) -> None:
    filled(rig)
    before = dump(rig.client)
    assert rig.audit_all(rig.projection()) == 0
    assert dump(rig.client) == before
    assert rig.count("healings") == 0
