"""What others write under our keys, and faults of our own: one session waits, nothing is lost, and
the worker goes on."""

import logging
from typing import cast

import pytest
from appending import NewEvent, turn
from redis.exceptions import ResponseError
from rig import Rig, dump, patched
from servers import wait_until

from turnlog_producers.errors import Misconfigured
from turnlog_projector.audit import settle
from turnlog_projector.init import initialise
from turnlog_projector.parking import list_parked, retry
from turnlog_projector.projection import Projection

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("event_id", ["", "a b", "a\0b", "\u00e9", "x" * 129])
def test_the_script_refuses_an_event_id_that_no_reader_could_take(rig: Rig, event_id: str) -> None:
    with pytest.raises(ResponseError, match="INVALID event_id 2 of the call"):
        rig.writer.append("s", turn("t0"), NewEvent(event_id, "", b"{}"))
    assert rig.client.keys("{tl*") == []


@pytest.mark.parametrize("session_id", ["", "a b", "a\0b", "a:b"])
def test_the_script_refuses_a_session_that_no_reader_could_take(rig: Rig, session_id: str) -> None:
    with pytest.raises(ResponseError, match="INVALID the session"):
        rig.writer.append(session_id, turn("t0"))
    assert rig.client.keys("{tl*") == []


def test_an_entry_that_no_script_wrote_parks_its_session_and_loses_nothing(rig: Rig) -> None:
    stream = rig.writer.keys("s").stream
    rig.writer.append("s", turn("t0"))
    projection = rig.projection()
    rig.drain(projection)
    rig.writer.append("s", turn("t1"))
    rig.client.xadd(stream, {"foo": "bar"}, id="3-0")
    rig.writer.append("other", turn("t0"))
    rig.drain(projection)
    rig.audit_all(projection)
    [parked] = list_parked(rig.connection)
    assert (parked.session_id, parked.seq) == ("s", 3)
    assert "FOREIGN" in parked.error
    assert rig.client.xlen(stream) == 3
    rig.client.xdel(stream, "3-0")
    retry(rig.projection(), "default", "s")
    rig.check()


@pytest.mark.parametrize("foreign", ["9-0", "18446744073709551615-18446744073709551615"])
@pytest.mark.parametrize("cold", [False, True])
def test_an_entry_that_came_and_went_does_not_close_the_stream(
    rig: Rig, foreign: str, cold: bool
) -> None:
    """A stream takes no ID below the highest that it has ever had."""
    rig.writer.append("s", turn("t0"))
    projection = rig.projection()
    rig.drain(projection)
    if cold:
        trim_all(rig, "s")
    rig.client.xadd(rig.writer.keys("s").stream, {"foo": "bar"}, id=foreign)
    rig.client.xdel(rig.writer.keys("s").stream, foreign)
    before = dump(rig.client)
    with pytest.raises(ResponseError, match="LOST default:s"):
        rig.writer.append("s", turn("t1"))
    assert dump(rig.client) == before
    settle(projection, rig.key("s"), "a producer found it damaged")
    rig.writer.append("s", turn("t1"))
    rig.drain(projection)
    rig.check()
    assert rig.count("healings") == 1


@pytest.mark.parametrize("value", ["text", "-3", "9007199254740993", None])
def test_nothing_that_the_counter_of_the_index_holds_stops_an_append(
    rig: Rig, value: str | None
) -> None:
    for number in range(8):
        rig.writer.append(f"s{number}", turn("t0"))
    projection = rig.projection()
    rig.drain(projection)
    for partition in range(rig.partitions):
        if value is None:
            rig.client.delete(f"{{tl:{partition}}}:index:n")
        else:
            rig.client.set(f"{{tl:{partition}}}:index:n", value)
    for name in ("t1", "t2"):
        for number in range(8):
            rig.writer.append(f"s{number}", turn(name))
        rig.drain(projection)
        rig.check()


@pytest.mark.parametrize("what", ["stream", "ids"])
@pytest.mark.parametrize("archived", [True, False])
def test_another_kind_of_data_stops_its_session_alone(rig: Rig, what: str, archived: bool) -> None:
    names = [f"n{number}" for number in range(8)]
    key = getattr(rig.writer.keys("s"), what)
    for session_id in ("s", *names):
        rig.writer.append(session_id, turn("t0"))
    projection = rig.projection()
    if archived:
        rig.drain(projection)
    rig.client.delete(key)
    rig.client.set(key, "a note")
    for session_id in names:
        rig.writer.append(session_id, turn("t1"))
    rig.drain(projection)
    rig.audit_all(projection)
    assert {parked.error for parked in list_parked(rig.connection)} == {
        "quarantined: a key of it in Redis holds another kind of data"
    }
    assert rig.client.get(key) == b"a note"
    rows = rig.connection.execute("SELECT count(*) FROM g1.turns WHERE session_id LIKE 'n%'")
    assert rows.fetchone() == (16,)
    rig.client.delete(key)
    retry(rig.projection(), "default", "s")
    rig.audit_all(projection)
    rig.writer.append("s", turn("t1"))
    rig.drain(projection)
    rig.check()


def trim_all(rig: Rig, session_id: str) -> None:
    """What trimming leaves of a quiet session."""
    keys = rig.writer.keys(session_id)
    rig.client.delete(keys.stream, keys.ids)
    seq, _, *rest = cast(bytes, rig.client.hget(keys.heads, keys.field)).decode().split(" ")
    rig.client.hset(keys.heads, keys.field, " ".join([seq, seq, *rest]))


def test_a_skip_voids_no_event_that_was_not_the_fault(rig: Rig) -> None:
    rig.writer.append("s", turn("t0"))
    projection = rig.projection()
    rig.drain(projection)
    rig.client.xadd(rig.writer.keys("s").stream, {"foo": "bar"}, id="2-0")
    rig.audit_all(projection)
    assert [parked.seq for parked in list_parked(rig.connection)] == [2]
    rig.client.delete(rig.writer.keys("s").stream)
    retry(rig.projection(), "default", "s", skip=True)
    rig.audit_all(projection)
    rig.writer.append("s", turn("t1"), turn("t2"))
    rig.drain(projection)
    assert list_parked(rig.connection) == []
    rig.check()


def test_a_session_with_a_repeat_is_healed_for_good(rig: Rig) -> None:
    first = turn("t0")
    rig.writer.append("s", first, turn("t1"), turn("t2"))
    projection = rig.projection()
    rig.drain(projection)
    keys = rig.writer.keys("s")
    # The first two events are pruned, and with them what the script knows of their ids.
    rig.client.xtrim(keys.stream, minid="3-0", approximate=False)
    known = cast(dict[bytes, bytes], rig.client.hgetall(keys.ids))
    rig.client.hdel(keys.ids, *[id_ for id_, seq in known.items() if int(seq) < 3])
    head = cast(bytes, rig.client.hget(keys.heads, keys.field)).decode().split(" ")
    rig.client.hset(keys.heads, keys.field, " ".join([head[0], "2", *head[2:]]))
    rig.writer.append("s", first, turn("t3"))
    rig.drain(projection)
    rig.client.delete(keys.stream)
    assert [rig.audit_all(projection) for _ in range(2)] == [1, 0]
    rig.writer.append("s", turn("t4"))
    rig.drain(projection)
    rig.check()


def waits(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the workers said that they wait for."""
    return [r.getMessage() for r in caplog.records if "projection waits" in r.getMessage()]


def test_a_database_that_takes_nothing_is_asked_less_and_less(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    rig.connection.execute("ALTER TABLE g1.turns RENAME TO moved_away")
    rig.writer.append("s", turn("t0"))

    def attempts() -> int:
        return sum("owns 4 partitions" in record.getMessage() for record in caplog.records)

    with rig.worker():
        wait_until(lambda: attempts() >= 4, "the worker has tried some times")
        assert len(waits(caplog)) == 1
        rig.connection.execute("ALTER TABLE g1.moved_away RENAME TO turns")
        rig.wait_projected()
        wait_until(lambda: "projection goes on" in caplog.text, "the worker says that it goes on")


def test_a_fault_of_ours_does_not_end_the_worker(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    def faulty(self: Projection, *_: object) -> None:
        raise KeyError("what people wrote")

    with patched(Projection, "project", faulty):
        rig.writer.append("s", turn("t0"))
        worker = rig.worker()
        wait_until(lambda: bool(waits(caplog)), "the worker met the fault")
    rig.wait_projected()
    worker.stop()
    assert "KeyError in faulty" in waits(caplog)[0]
    assert "what people wrote" not in caplog.text


def test_another_number_of_partitions_is_refused(rig: Rig) -> None:
    with pytest.raises(Misconfigured, match=r"TURNLOG_PARTITIONS is 7, but the log .* has 4"):
        initialise(rig.redis_url, rig.postgres_url, partitions=7)
    worker = rig.worker(partitions=7)
    wait_until(lambda: not worker.alive, "the worker gives up")
    assert isinstance(worker.error, Misconfigured)
