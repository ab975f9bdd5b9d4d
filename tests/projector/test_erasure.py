"""What is erased is gone from archive and read models at once, and from Redis after."""

from contextlib import suppress
from typing import Any, LiteralString, cast

import pytest
import redis
from appending import NewEvent, event, foreign, poison, turn
from dumping import dump_postgres, dump_redis, holding
from rig import Rig, dump, patched, restore
from truth import read_heads, read_tables
from verifying import run_verify

from turnlog_projector import erasing, refold, verify_sessions
from turnlog_projector.audit import settle
from turnlog_projector.erasing import clean
from turnlog_projector.parking import list_parked, retry
from turnlog_projector.projection import Projection
from turnlog_schemas import times
from turnlog_schemas.events import CURRENT_VERSION
from turnlog_schemas.stubs import make_stub

pytestmark = pytest.mark.integration

SECRET = "hunter2"


def everything(turn_id: str, text: str = SECRET) -> list[NewEvent]:
    """Events of every type that tell of a turn, with a text in every field for one."""
    whole: dict[str, Any] = {
        "turn_id": turn_id,
        "role": "assistant",
        "content": [{"type": "text", "text": text}],
        "name": text,
        "tool_calls": [{"arguments": text}],
        "tool_call_id": text,
        "artifacts": [{"id": text, "url": text, "name": text}],
        "metadata": {text: text},
        "more": text,
    }
    actor = {"kind": "user", "id": text, "name": text}
    return [
        event("turn.started", {"turn_id": turn_id, "role": "user", "name": text}, actor=actor),
        event("turn.interrupted", {**whole, "reason": text}, actor=actor),
        event("turn.completed", whole, actor=actor),
        event("turn.edited", {"turn_id": turn_id, "content": text, "reason": text}, actor=actor),
        event("turn.annotated", {"turn_id": turn_id, "kind": "comment", "value": text, "by": text}),
        foreign("turn.sung", {"turn_id": turn_id, "verse": text}),
        event("turn.retracted", {"turn_id": turn_id, "reason": text}),
    ]


def left(rig: Rig, text: str = SECRET) -> list[str]:
    """Where a text still stands."""
    return holding(dump_postgres(rig.connection), text) + holding(dump_redis(rig.client), text)


def erase(turn_id: str) -> NewEvent:
    return event("turn.erased", {"turn_id": turn_id})


def live(rig: Rig, table: str) -> list[tuple[Any, ...]]:
    row = rig.connection.execute("SELECT generation FROM turnlog.active").fetchone()
    assert row is not None
    return read_tables(rig.connection, row[0])[table]


def start(rig: Rig, session_id: str, text: str = SECRET) -> None:
    """A session with a text in every field for one."""
    data = {"user_id": text, "project": text, "title": text, "metadata": {text: text}}
    actor = {"kind": "user", "id": text, "name": text}
    rig.writer.append(session_id, event("session.started", data, actor=actor), owner=text)
    rig.client.xadd(rig.writer.keys(session_id).live, {"delta": text})


def trim(rig: Rig, session_id: str, *event_ids: str) -> None:
    """The oldest events go from Redis, as the archive holds them."""
    keys = rig.writer.keys(session_id)
    head = read_heads(rig.client, rig.partitions)["default", session_id]
    rig.client.xtrim(keys.stream, minid=f"{len(event_ids) + 1}-0", approximate=False)
    rig.client.hdel(keys.ids, *event_ids)
    text = " ".join(str(part) for part in head._replace(base=len(event_ids)))
    rig.client.hset(keys.heads, keys.field, text)


def run(rig: Rig, statement: str) -> None:
    rig.connection.execute(cast(LiteralString, statement))


@pytest.mark.parametrize("at_once", [True, False])
def test_an_erased_session_leaves_a_tombstone(rig: Rig, at_once: bool) -> None:
    projection = rig.projection()
    start(rig, "s0")
    start(rig, "other", "kept")
    rig.writer.append("s0", *everything("t1"), turn("t2", SECRET))
    if not at_once:
        rig.drain(projection)
    actor = {"kind": "user", "id": SECRET, "name": SECRET}
    rig.writer.append("s0", event("session.erased", actor=actor))
    rig.drain(projection)
    rig.check()
    assert left(rig) == []
    assert left(rig, "kept")
    keys = rig.writer.keys("s0")
    assert not rig.client.exists(keys.stream, keys.ids, keys.live)
    head = read_heads(rig.client, rig.partitions)["default", "s0"]
    assert (head.flags, head.owner, head.base) == ("sec", "", head.seq)
    with pytest.raises(redis.ResponseError, match="ERASED"):
        rig.writer.append("s0", turn("t9"))
    [tombstone] = [row for row in live(rig, "sessions") if row[1] == "s0"]
    assert tombstone[12] == 10


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("chunk", [1, 3, 2000])
def test_an_erased_turn_leaves_stubs(rig: Rig, at_once: bool, chunk: int) -> None:
    projection = rig.projection()
    rig.writer.append("s0", turn("t0", "kept"), *everything("t1"), turn("t2", parent_turn_id="t1"))
    rig.client.xadd(rig.writer.keys("s0").live, {"delta": SECRET})
    if not at_once:
        rig.drain(projection)
    rig.writer.append("s0", erase("t1"))
    with patched(refold, "CHUNK_EVENTS", chunk):
        rig.drain(projection)
    rig.check()
    assert left(rig) == []
    assert left(rig, "kept")
    statuses = {row[2]: row[6] for row in live(rig, "turns")}
    assert statuses == {"t0": "complete", "t1": "retracted", "t2": "complete"}


def test_a_session_goes_on_after_an_erasure(rig: Rig) -> None:
    projection = rig.projection()
    rig.writer.append("s0", turn("t0"), turn("t1", SECRET), turn("t2"))
    rig.drain(projection)
    rig.writer.append("s0", erase("t1"))
    rig.drain(projection)
    rig.writer.append("s0", turn("t3"), turn("t4", parent_turn_id="t1"))
    rig.drain(projection)
    rig.check()
    assert rig.audit_all(projection) == 0


def test_what_is_appended_while_redis_is_cleaned_stays(rig: Rig) -> None:
    projection = rig.projection()
    rig.writer.append("s0", turn("t0"), turn("t1", SECRET))
    rig.writer.append("s0", erase("t1"))
    while rig.step(projection):
        pass
    rig.writer.append("s0", turn("t2"))
    rig.clean(projection)
    rig.drain(projection)
    rig.check()
    assert left(rig) == []
    assert [row[2] for row in live(rig, "turns")] == ["t0", "t1", "t2"]


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("late", range(7))
def test_what_tells_of_a_turn_after_its_erasure_keeps_no_text(
    rig: Rig, known: bool, late: int
) -> None:
    projection = rig.projection()
    rig.writer.append("s0", *([turn("t1", SECRET)] if known else []), erase("t1"), turn("t2"))
    rig.drain(projection)
    rig.writer.append("s0", everything("t1")[late])
    rig.drain(projection)
    rig.check()
    assert left(rig) == []


def test_a_new_worker_knows_what_was_erased(rig: Rig) -> None:
    first = rig.projection()
    rig.writer.append("s0", turn("t1", SECRET), erase("t1"))
    rig.drain(first)
    rig.writer.append("s0", *everything("t1"))
    rig.drain(rig.projection())
    rig.check()
    assert left(rig) == []


def test_two_workers_that_erase_know_of_each_other(rig: Rig) -> None:
    first, second = rig.projection(), rig.projection()
    rig.writer.append("s0", turn("t1", SECRET), turn("t2", SECRET))
    rig.drain(first)
    rig.writer.append("s0", erase("t1"))
    rig.drain(second)
    rig.writer.append("s0", *everything("t1"), erase("t2"))
    rig.drain(first)
    rig.check()
    assert left(rig) == []


def test_an_erasure_reaches_into_a_parked_session(rig: Rig) -> None:
    projection = rig.projection()
    rig.writer.append("s0", turn("t0", "kept"), turn("t1", SECRET), poison(b'{"t9": "poison'))
    rig.drain(projection)
    rig.writer.append("s0", turn("t2", SECRET), erase("t1"), erase("t2"))
    rig.drain(projection)
    rig.check()
    assert left(rig) == []
    assert [parked.seq for parked in list_parked(rig.connection)] == [3]
    rig.writer.append("s0", turn("t2", SECRET))
    rig.drain(projection)
    rig.check()
    assert left(rig) == []
    rig.writer.append("s0", erase("t9"))
    rig.drain(projection)
    rig.check()
    assert list_parked(rig.connection) == []
    assert left(rig, "poison") == []


def test_erasing_a_parked_session_ends_its_waiting(rig: Rig) -> None:
    projection = rig.projection()
    start(rig, "s0")
    rig.writer.append("s0", poison(SECRET.encode()), turn("t1", SECRET))
    rig.drain(projection)
    rig.writer.append("s0", event("session.erased"))
    rig.drain(projection)
    rig.check()
    assert left(rig) == []
    assert list_parked(rig.connection) == []


def test_a_skipped_event_loses_its_text_too(rig: Rig) -> None:
    projection = rig.projection()
    rig.writer.append("s0", turn("t1"), poison(b"t1 hunter2"), turn("t2"))
    rig.drain(projection)
    retry(rig.projection(), "default", "s0", skip=True)
    rig.writer.append("s0", erase("t1"))
    rig.drain(projection)
    rig.check()
    assert left(rig) == []


def test_a_repeat_loses_its_text_too(rig: Rig) -> None:
    """One that came after the log had forgotten its id; its bytes are those of another turn."""
    projection = rig.projection()
    rig.writer.append("s0", turn("t0", event_id="e0"), turn("t2"))
    rig.drain(projection)
    trim(rig, "s0", "e0")
    rig.writer.append("s0", turn("t1", SECRET, event_id="e0"))
    rig.drain(projection)
    rig.writer.append("s0", erase("t1"))
    rig.drain(projection)
    rig.check()
    assert left(rig) == []


def test_a_title_made_from_an_erased_turn_goes_and_one_by_a_person_stays(rig: Rig) -> None:
    projection = rig.projection()
    rig.writer.append("s0", turn("t1", SECRET), event("session.updated", {"title": "Mine"}))
    rig.writer.append("s1", turn("t1", SECRET), turn("t2", "Next"))
    rig.drain(projection)
    for session_id in ("s0", "s1"):
        rig.writer.append(session_id, erase("t1"))
    rig.drain(projection)
    rig.check()
    assert left(rig) == []
    assert {row[1]: row[4] for row in live(rig, "sessions")} == {"s0": "Mine", "s1": "Next"}
    assert [(row[1], row[2]) for row in live(rig, "titles")] == [("s0", 2), ("s1", 2)]


def test_erasing_twice_changes_nothing_more(rig: Rig) -> None:
    projection = rig.projection()
    rig.writer.append("s0", turn("t1", SECRET), erase("t1"))
    rig.drain(projection)
    rig.writer.append("s0", erase("t1"))
    rig.drain(projection)
    rig.check()
    assert rig.count("erasures") == 1
    rig.writer.append("s0", event("session.erased"))
    rig.drain(projection)
    rig.check()
    row = rig.connection.execute("SELECT turn_id, seq, events FROM turnlog.erasures").fetchall()
    assert row == [("", 4, 3)]


def test_a_lost_batch_erases_nothing_and_is_done_again(rig: Rig) -> None:
    first, second = rig.projection(), rig.projection()
    rig.writer.append("s0", turn("t1", SECRET), turn("t2"))
    rig.drain(first)
    rig.drain(second)
    rig.writer.append("s0", erase("t1"))
    rig.connection.execute("UPDATE turnlog.offsets SET epoch = epoch + 1")
    rig.drain(first)
    rig.check()
    assert left(rig) == []


def meanwhile(rig: Rig, what: str) -> None:
    """Something happens to the stream of s0 while it is written anew."""
    if what == "append":
        rig.writer.append("s0", turn("t9"))
    elif what == "trim":
        trim(rig, "s0", "e0", "e1")
    elif what == "damage":
        rig.client.xdel(rig.writer.keys("s0").stream, "2-0")
    elif what == "break off":
        raise redis.ConnectionError


@pytest.mark.parametrize("what", ["nothing", "append", "trim", "damage", "break off"])
@pytest.mark.parametrize("count", [1, 3])
def test_a_long_stream_is_written_anew_in_steps(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, what: str, count: int
) -> None:
    monkeypatch.setattr(erasing, "_COPIED_AT_ONCE", count)
    projection = rig.projection()
    turns = [turn(f"t{number}", f"{SECRET}{number}", event_id=f"e{number}") for number in range(8)]
    rig.writer.append("s0", *turns, erase("t4"))
    while rig.step(projection):
        pass
    client, calls = projection.log.client, 0
    evaluate = client.eval

    def interrupted(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            meanwhile(rig, what)
        return evaluate(*args)

    monkeypatch.setattr(client, "eval", interrupted)
    with suppress(redis.ConnectionError):
        clean(projection.log, projection.connection, range(4))
    monkeypatch.setattr(client, "eval", evaluate)
    if what == "damage":
        rig.clean(projection)  # until then the session takes nothing
    rig.writer.append("s0", erase("t5"), turn("t10"))
    rig.drain(projection)
    rig.check()
    assert left(rig, f"{SECRET}4") == left(rig, f"{SECRET}5") == []
    assert all(left(rig, f"{SECRET}{number}") for number in (0, 1, 2, 3, 6, 7))
    assert not [key for key in dump_redis(rig.client) if ":erasing:" in key]


def refold_afresh(rig: Rig) -> None:
    """The rows of s0 in the live generation as they were when the archive was this one."""
    row = rig.connection.execute("SELECT generation FROM turnlog.active").fetchone()
    assert row is not None
    with rig.connection.transaction():
        refold.refold_session(rig.connection, row[0], rig.key("s0"))


# Redis


def test_cleaning_goes_on_where_it_broke_off(rig: Rig) -> None:
    projection = rig.projection()
    for session_id in ("s0", "s1", "s2"):
        start(rig, session_id)
        rig.writer.append(session_id, event("session.erased"))
    while rig.step(projection):
        pass
    assert holding(dump_postgres(rig.connection), SECRET) == []
    assert holding(dump_redis(rig.client), SECRET) != []
    other = rig.projection()
    rig.discard(projection)
    rig.clean(other)
    rig.check()
    assert left(rig) == []


def older_redis(rig: Rig, projection: Projection, *, with_erasures: bool) -> dict[bytes, bytes]:
    """A copy of Redis from before it was cleaned of a session and a turn."""
    start(rig, "s0")
    rig.writer.append("s0", *everything("t1"), turn("t2", SECRET))
    rig.writer.append("s1", turn("t0", "kept"), *everything("t1"))
    rig.drain(projection)
    before = dump(rig.client)
    rig.writer.append("s0", event("session.erased"))
    rig.writer.append("s1", erase("t1"))
    while rig.step(projection):
        pass
    after = dump(rig.client)
    rig.clean(projection)
    assert left(rig) == []
    return after if with_erasures else before


@pytest.mark.parametrize("with_erasures", [False, True])
@pytest.mark.parametrize("appended", [False, True])
def test_an_older_redis_that_brings_the_text_back_is_cleaned_again(
    rig: Rig, with_erasures: bool, appended: bool
) -> None:
    projection = rig.projection()
    restore(rig.client, older_redis(rig, projection, with_erasures=with_erasures))
    if appended:
        rig.writer.append("s1", turn("t5"))
        if not with_erasures:
            rig.writer.append("s0", turn("t5", "too late"))
    rig.audit_all(projection)
    rig.check()
    assert left(rig) == []
    assert left(rig, "too late") == []
    with pytest.raises(redis.ResponseError, match="ERASED"):
        rig.writer.append("s0", turn("t9"))


def test_an_erased_session_that_redis_lost_is_refused_again_once_healed(rig: Rig) -> None:
    projection = rig.projection()
    start(rig, "s0")
    rig.writer.append("s0", event("session.erased"))
    rig.drain(projection)
    keys = rig.writer.keys("s0")
    rig.client.hdel(keys.heads, keys.field)
    rig.writer.append("s0", turn("t1", SECRET), owner=SECRET)
    settle(projection, rig.key("s0"), "a test says so")
    rig.drain(projection)
    rig.check()
    assert left(rig) == []
    with pytest.raises(redis.ResponseError, match="ERASED"):
        rig.writer.append("s0", turn("t2"))
    assert rig.audit_all(projection) == 0


def test_a_healed_stream_holds_the_stubs(rig: Rig) -> None:
    projection = rig.projection()
    rig.writer.append("s0", turn("t0"), *everything("t1"), erase("t1"), turn("t2"))
    rig.drain(projection)
    rig.client.delete(rig.writer.keys("s0").stream)
    settle(projection, rig.key("s0"), "a test says so")
    rig.drain(projection)
    rig.check()
    assert left(rig) == []


def test_a_trimmed_session_is_erased_as_well(rig: Rig) -> None:
    projection = rig.projection()
    events = [turn("t0"), turn("t1", SECRET), turn("t2")]
    rig.writer.append("s0", *events)
    rig.drain(projection)
    trim(rig, "s0", *(event.event_id for event in events))
    rig.writer.append("s0", erase("t1"))
    rig.drain(projection)
    rig.check()
    assert left(rig) == []
    rig.writer.append("s0", event("session.erased"))
    rig.drain(projection)
    rig.check()


def test_cleaning_waits_until_a_broken_stream_is_healed(rig: Rig) -> None:
    projection = rig.projection()
    rig.writer.append("s0", turn("t0"), turn("t1", SECRET), erase("t1"))
    while rig.step(projection):
        pass
    rig.client.xdel(rig.writer.keys("s0").stream, "1-0")
    cleaned = clean(projection.log, projection.connection, range(4))
    assert cleaned.stale == [rig.key("s0")]
    rig.clean(projection)
    rig.check()
    assert left(rig) == []


def test_postgres_from_an_older_backup_erases_again(rig: Rig) -> None:
    """Of an erased session Redis has kept no event to project again."""
    projection = rig.projection()
    start(rig, "s0")
    rig.writer.append("s0", turn("t1", SECRET))
    rig.drain(projection)
    tables = ["archive", "heads", "offsets", "erasures"]
    for table in tables:
        run(rig, f"CREATE TABLE turnlog.old_{table} AS TABLE turnlog.{table}")
    rows = live(rig, "turns")
    rig.writer.append("s0", turn("t2", SECRET), turn("t3", SECRET), event("session.erased"))
    rig.drain(projection)
    for table in tables:
        run(rig, f"DELETE FROM turnlog.{table}")
        run(rig, f"INSERT INTO turnlog.{table} TABLE turnlog.old_{table}")
        run(rig, f"DROP TABLE turnlog.old_{table}")
    refold_afresh(rig)
    assert live(rig, "turns") == rows
    assert left(rig)
    restored = rig.projection()
    rig.audit_all(restored)
    rig.check()
    assert left(rig) == []
    assert restored.archived(rig.key("s0")).seq == 5


def test_an_erasure_that_only_a_later_release_reads_erases_when_it_is_retried(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = foreign("turn.erased", {"turn_id": "t1"}, version=2)
    rig.writer.append("s0", turn("t0", "kept"), turn("t1", SECRET), later, turn("t2"))
    projection = rig.projection()
    rig.drain(projection)
    assert [parked.seq for parked in list_parked(rig.connection)] == [3]
    assert left(rig)
    monkeypatch.setitem(CURRENT_VERSION, "turn.erased", 2)
    retry(rig.projection(), "default", "s0")
    rig.drain(projection)
    rig.check()
    assert left(rig) == []
    assert left(rig, "kept")


# Verifying


def forged(turn_id: str | None) -> NewEvent:
    """A stub that a producer has written, as if something had been erased."""
    made = poison(b"")
    data = {} if turn_id is None else {"turn_id": turn_id}
    return made._replace(raw=make_stub(made.event_id, "turn.edited", 1, times.now(), 3, data))


@pytest.mark.parametrize("large", [0, 5000])
def test_verify_takes_stubs_where_something_erases_them(rig: Rig, large: int) -> None:
    projection = rig.projection()
    rig.writer.append("s0", turn("t0"), *everything("t1"), erase("t1"), everything("t1")[3])
    rig.writer.append("s1", turn("t0"), *everything("t1"), event("session.erased"))
    rig.drain(projection)
    with patched(verify_sessions, "LARGE_SESSION_EVENTS", large):
        _, differences = run_verify(rig, processes=0)
        assert differences == []
        rig.writer.append("s0", forged("t1"), forged("t0"), forged("t0"), forged(None))
        rig.drain(projection)
        _, differences = run_verify(rig, processes=0)
    assert [(each.seq, each.field, each.expected) for each in differences] == [
        (12, "erased", "turn.erased of t0"),
        (14, "erased", "session.erased"),
    ]
