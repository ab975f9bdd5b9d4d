"""A dump of the archive, restored elsewhere, is the same log."""

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
import redis
from appending import turn
from restoring import dump_of, fill, restore
from rig import Rig
from servers import SharedServers
from trimming import head
from truth import COLUMNS, Tables, read_archive, read_heads, read_tables
from verifying import run_verify

from turnlog_producers.keys import META
from turnlog_projector.archive_dump import DamagedArchive, dump_archive
from turnlog_projector.archive_lines import BadDump, line
from turnlog_projector.archive_restore import NotEmpty
from turnlog_projector.database import connect_postgres

pytestmark = pytest.mark.integration


class Place(NamedTuple):
    """Where a dump is restored to."""

    redis_url: str
    postgres_url: str


@pytest.fixture
def place(
    shared_servers: SharedServers,
    _redis_numbers: Iterator[int],
    new_postgres_url: Callable[[], str],
) -> Place:
    """Empty servers."""
    url = shared_servers.redis_url(next(_redis_numbers))
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return Place(url, new_postgres_url())


@pytest.fixture
def restored(place: Place) -> Iterator[Callable[..., Rig]]:
    """The log at that place, once it is restored there."""
    made: list[Rig] = []

    def rig(partitions: int = 4) -> Rig:
        made.append(Rig(*place, partitions=partitions))
        return made[-1]

    yield rig
    for each in made:
        each.close()


def events(rig: Rig) -> list[tuple[object, ...]]:
    """All that the archive holds, but for the places."""
    return sorted((row.name, *row[4:]) for row in read_archive(rig.connection))


def tables(rig: Rig) -> Tables:
    """The read models of the live generation."""
    row = rig.connection.execute("SELECT generation FROM turnlog.active").fetchone()
    assert row is not None
    return read_tables(rig.connection, row[0])


def heads(rig: Rig) -> dict[tuple[str, str], tuple[object, ...]]:
    """What heads say of the sessions, but for what is still in the stream."""
    found = read_heads(rig.client, rig.partitions)
    return {
        name: (h.seq, h.recorded_at, h.event_id, h.owner, {*h.flags} - {*"c-"})
        for name, h in found.items()
    }


@pytest.mark.parametrize("partitions", [None, 7])
def test_everything_is_there_again(
    rig: Rig, place: Place, restored: Callable[..., Rig], partitions: int | None
) -> None:
    fill(rig)
    report = restore(*place, dump_of(rig), partitions=partitions)
    there = restored(partitions or 4)
    assert report.partitions == there.partitions
    assert events(there) == events(rig)
    assert (report.events, report.sessions) == (len(events(rig)), len(heads(rig)))
    before, after = tables(rig), tables(there)
    for table in COLUMNS:
        assert after[table] == before[table], table
    assert heads(there) == heads(rig)
    there.check()
    (there_verified, differences), (verified, _) = run_verify(there), run_verify(rig)
    assert differences == []
    assert there_verified.digest == verified.digest
    assert there.count("parked") == rig.count("parked")
    assert there.count("erasures") == rig.count("erasures")
    assert there.count("generations") == 1
    assert there.audit_all(there.projection()) == 0
    assert there.count("healings") == 0


def test_a_restored_log_goes_on(rig: Rig, place: Place, restored: Callable[..., Rig]) -> None:
    fill(rig)
    end = head(rig, "s")
    restore(*place, dump_of(rig))
    there = restored()
    assert head(there, "s") == end._replace(base=end.seq, flags="sc")
    assert there.writer.append("s", turn("new")).seqs == [end.seq + 1]
    there.writer.append("s", turn("t3", "again", event_id="e3"))
    there.drain(there.projection())
    there.check()
    assert [row.repeat_of for row in read_archive(there.connection) if row.event_id == "e3"] == [
        None,
        5,
    ]
    with pytest.raises(redis.ResponseError, match="ERASED"):
        there.writer.append("erased", turn("t9"))


def test_the_same_dump_from_a_restored_log(rig: Rig, place: Place) -> None:
    fill(rig)
    lines = dump_of(rig)
    restore(*place, lines)
    again: list[bytes] = []
    dump_archive(place.postgres_url, again.append)
    first, *rest = b"".join(again).splitlines(keepends=True)
    assert [text for text in rest if b'"parked":{' not in text][:-1] == [
        text for text in lines[1:] if b'"parked":{' not in text
    ][:-1]
    wanted = json.loads(lines[0])
    found = json.loads(first)
    assert {**found, "log_id": "", "made_at": "", "crc": ""} == {
        **wanted,
        "log_id": "",
        "made_at": "",
        "crc": "",
    }
    assert found["log_id"] != wanted["log_id"]


def test_lines_are_as_documented(rig: Rig) -> None:
    fill(rig)
    first, *rest = [json.loads(text) for text in dump_of(rig)]
    assert first["turnlog_archive"] == 1
    assert first["events"] == len(read_archive(rig.connection))
    parked = [each["parked"] for each in rest if "parked" in each]
    assert {(each["session_id"], each["state"]) for each in parked} == {
        ("parked", "parked"),
        ("skipped", "skipped"),
    }
    found = [each for each in rest if "seq" in each]
    names = {"tenant", "session_id", "seq", "event_id", "recorded_at", "hash", "event", "crc"}
    assert found[0].keys() == names
    assert json.loads(found[0]["event"])["event_id"] == found[0]["event_id"]
    assert [each["seq"] for each in found if "base64" in each] == [2]
    assert [each["repeat_of"] for each in found if "repeat_of" in each] == [2]
    assert rest[-1]["end"] is True


def test_what_is_written_meanwhile_is_not_in_the_dump(rig: Rig) -> None:
    fill(rig)
    projection = rig.projection()
    pieces: list[bytes] = []

    def write(piece: bytes) -> None:
        rig.writer.append("small-0", turn(f"n{len(pieces)}"))
        rig.drain(projection)
        pieces.append(piece)

    before = len(read_archive(rig.connection))
    assert dump_archive(rig.postgres_url, write).events == before
    assert b"".join(pieces).count(b'"recorded_at"') == before
    assert len(read_archive(rig.connection)) > before


def test_an_empty_log(rig: Rig, place: Place, restored: Callable[..., Rig]) -> None:
    assert restore(*place, dump_of(rig)).events == 0
    restored().check()


@pytest.mark.parametrize("held", ["Redis", "Postgres"])
def test_only_into_an_empty_installation(rig: Rig, place: Place, held: str) -> None:
    fill(rig)
    lines = dump_of(rig)
    with pytest.raises(NotEmpty, match="name another"):
        restore(rig.redis_url, rig.postgres_url, lines)
    other = Rig(*place)
    other.writer.append("s", turn("t0"))
    if held == "Postgres":
        other.drain(other.projection())
        other.client.delete(*[f"{{tl:{p}}}:heads" for p in range(4)])
    with pytest.raises(NotEmpty, match="name another"):
        restore(*place, lines)
    other.close()


def damaged(lines: list[bytes]) -> dict[str, tuple[list[bytes], str]]:
    """Dumps that must be refused, and what is said."""
    event = next(number for number, text in enumerate(lines) if b'"event"' in text)
    value: dict[str, Any] = json.loads(lines[event])
    del value["crc"]
    other = line({**value, "recorded_at": 1})
    bytes_changed = line({**value, "event": value["event"].replace("turn", "Turn")})
    swapped = [*lines[:event], lines[event + 1], lines[event], *lines[event + 2 :]]
    number = event + 1
    return {
        "a byte": (
            [*lines[:event], lines[event].replace(b"turn", b"Turn"), *lines[event + 1 :]],
            f"line {number} is damaged",
        ),
        "an event": ([*lines[:event], bytes_changed, *lines[event + 1 :]], f"line {number}: "),
        "a time": ([*lines[:event], other, *lines[event + 1 :]], "not those that were dumped"),
        "a line less": ([*lines[:event], *lines[event + 1 :]], "not those that were dumped"),
        "a line twice": ([*lines[:number], *lines[event:]], "twice|not those that were dumped"),
        "the order": (swapped, "not those that were dumped|not all there"),
        "cut off": (lines[:-1], f"cut off behind line {len(lines) - 1}"),
        "cut in a line": ([*lines[:-2], lines[-2][:40]], f"line {len(lines) - 1} is damaged"),
        "more": ([*lines, lines[-1]], f"line {len(lines) + 1} stands behind the end"),
        "no header": (lines[1:], "line 1 is no header"),
        "no dump": ([b"hello\n"], "line 1 is damaged, or no line of an archive dump"),
        "nothing": ([], "line 1 is damaged, or no line of an archive dump"),
        "a newer format": (
            [line({"turnlog_archive": 2}), *lines[1:]],
            "of format 2, this release reads 1",
        ),
    }


def test_a_damaged_dump_leaves_nothing_behind(
    rig: Rig, place: Place, restored: Callable[..., Rig]
) -> None:
    fill(rig)
    lines = dump_of(rig)
    for given, said in damaged(lines).values():
        with pytest.raises(BadDump, match=said):
            restore(*place, given)
    there = restored()
    assert there.count("archive") == there.count("heads") == there.count("parked") == 0
    restore(*place, lines)
    there.check()


class Killed(Exception):
    """The process has died here."""


@pytest.mark.parametrize("phase", ["checking", "indexes", "sessions in Redis"])
def test_a_restore_that_is_killed_is_done_again(
    rig: Rig, place: Place, restored: Callable[..., Rig], phase: str
) -> None:
    fill(rig)
    lines = dump_of(rig)

    def die(at: str, _done: int, _total: int) -> None:
        if at == phase:
            raise Killed

    with pytest.raises(Killed):
        restore(*place, lines, tell=die)
    report = restore(*place, lines)
    assert report.went_on == (phase != "checking")
    assert report.events == len(lines) - 2 - rig.count("parked") - rig.count("erasures")
    there = restored()
    there.check()
    assert heads(there) == heads(rig)
    assert there.count("restore") == 0
    with pytest.raises(NotEmpty):
        restore(*place, lines)


def test_a_worker_runs_meanwhile(rig: Rig, place: Place, restored: Callable[..., Rig]) -> None:
    """Of the empty installation: it neither stops nor writes anything of its own."""
    fill(rig)
    lines = dump_of(rig)
    there = restored()
    with there.worker(audit_seconds=0.3):
        restore(*place, lines)
        there.wait_projected()
    there.check()
    assert heads(there) == heads(rig)


def test_an_append_meanwhile_moves_behind_what_is_restored(
    rig: Rig, place: Place, restored: Callable[..., Rig]
) -> None:
    fill(rig)
    there, end = restored(), head(rig, "s")
    appended: list[int] = []

    def append(phase: str, _done: int, _total: int) -> None:
        if phase == "indexes" and not appended:
            appended.extend(there.writer.append("s", turn("meanwhile")).seqs)

    restore(*place, dump_of(rig), tell=append)
    assert appended == [1]
    there.drain(there.projection())
    there.check()
    assert head(there, "s").seq == end.seq + 1
    assert head(there, "s").owner == end.owner


def test_a_damaged_archive_makes_no_dump(rig: Rig) -> None:
    fill(rig)
    rig.connection.execute(
        "UPDATE turnlog.archive SET bytes = 'x' WHERE session_id = 's' AND seq = 3"
    )
    with pytest.raises(DamagedArchive, match="event 3 of session default:s: "):
        dump_of(rig)
    rig.connection.execute("DELETE FROM turnlog.archive WHERE session_id = 's' AND seq = 3")
    with pytest.raises(DamagedArchive, match="should hold"):
        dump_of(rig)


def test_a_redis_that_knows_another_number_of_partitions(rig: Rig, place: Place) -> None:
    """An installation keeps the number that it has."""
    fill(rig)
    with redis.Redis.from_url(place.redis_url) as client:
        client.set(META, json.dumps({"log_id": "a-log", "partitions": 3}))
    assert restore(*place, dump_of(rig)).partitions == 3
    with connect_postgres(place.postgres_url) as connection:
        row = connection.execute("SELECT log_id FROM turnlog.log").fetchone()
    assert row == ("a-log",)
