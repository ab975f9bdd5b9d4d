"""`turnlog archive dump` and `restore`."""

import gzip
import json
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
import zstandard
from appending import Writer, turn
from cli_running import PARTITIONS, Turnlog
from servers import SharedServers

pytestmark = pytest.mark.integration

EVENTS = 30


@pytest.fixture
def filled(turnlog: Turnlog, project: Callable[[], None]) -> Turnlog:
    """Ten sessions of three turns; all projected."""
    with redis.Redis.from_url(turnlog.redis_url) as client:
        writer = Writer(client, partitions=PARTITIONS)
        for number in range(EVENTS // 3):
            writer.append(f"s{number}", turn("t0"), turn("t1", "ü"), turn("t2"))
    project()
    return turnlog


@pytest.fixture
def elsewhere(
    shared_servers: SharedServers,
    _redis_numbers: Iterator[int],
    new_postgres_url: Callable[[], str],
) -> Turnlog:
    """The command, with empty servers."""
    url = shared_servers.redis_url(next(_redis_numbers))
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return Turnlog(url, new_postgres_url())


def content(path: Path) -> bytes:
    """What the file holds, uncompressed."""
    raw = path.read_bytes()
    if path.suffix == ".gz":
        return gzip.decompress(raw)
    if path.suffix == ".zst":
        return zstandard.ZstdDecompressor().decompressobj().decompress(raw)
    return raw


@pytest.mark.parametrize("name", ["log.jsonl", "log.jsonl.gz", "log.jsonl.zst"])
def test_dump_and_restore(filled: Turnlog, elsewhere: Turnlog, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    dumped = filled("archive", "dump", path, "--json")
    assert (dumped.code, dumped.json["events"], dumped.json["sessions"]) == (0, EVENTS, 10)
    assert len(content(path)) == dumped.json["bytes"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]
    restored = elsewhere("archive", "restore", path, "--json", "--processes", "1")
    assert restored.code == 0, restored.err
    assert (restored.json["events"], restored.json["partitions"]) == (EVENTS, PARTITIONS)
    shown = elsewhere("show", "s3", "--json").json
    assert shown == filled("show", "s3", "--json").json


def test_by_pipes(filled: Turnlog, elsewhere: Turnlog) -> None:
    dumped = filled.process("archive", "dump", "-")
    assert dumped.code == 0
    assert f"{EVENTS} events of 10 sessions" in dumped.err
    assert len(dumped.out.splitlines()) == EVENTS + 2
    restored = elsewhere.process("archive", "restore", "-", stdin=dumped.out.encode())
    assert restored.code == 0, restored.err
    assert f"{EVENTS} events of 10 sessions restored" in restored.out
    again = elsewhere("archive", "restore", "-", stdin=dumped.out.encode())
    assert again.code == 1
    assert "into an empty installation only" in again.err
    assert len(again.err.splitlines()) == 1


def test_the_same_log_gives_the_same_file(filled: Turnlog, tmp_path: Path) -> None:
    for name in ("a.gz", "b.gz"):
        assert filled("archive", "dump", tmp_path / name).code == 0
    first, second = (content(tmp_path / name).splitlines() for name in ("a.gz", "b.gz"))
    assert first[1:-1] == second[1:-1]


def test_a_dump_that_fails_leaves_the_former_one(filled: Turnlog, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    assert filled("archive", "dump", path).code == 0
    before = path.read_bytes()
    with psycopg.connect(filled.postgres_url) as connection:
        connection.execute("UPDATE turnlog.archive SET bytes = 'x' WHERE seq = 2")
    failed = filled("archive", "dump", path)
    assert failed.code == 1
    assert "do not match their hash" in failed.err
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["log.jsonl", "log.jsonl.gz", "log.jsonl.zst"])
def test_a_file_that_is_cut_off(
    filled: Turnlog, elsewhere: Turnlog, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    assert filled("archive", "dump", path).code == 0
    path.write_bytes(path.read_bytes()[:-40])
    ran = elsewhere("archive", "restore", path)
    assert ran.code == 1
    assert len(ran.err.splitlines()) == 1
    assert "cut off" in ran.err or "damaged" in ran.err


def test_a_damaged_line_is_named(filled: Turnlog, elsewhere: Turnlog, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    assert filled("archive", "dump", path).code == 0
    lines = path.read_bytes().splitlines(keepends=True)
    value: dict[str, Any] = json.loads(lines[4])
    lines[4] = lines[4].replace(value["event_id"].encode(), b"other", 1)
    path.write_bytes(b"".join(lines))
    ran = elsewhere("archive", "restore", path)
    assert (ran.code, ran.err) == (
        1,
        "turnlog: line 5 is damaged, or no line of an archive dump\n",
    )


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["dump", "/no/such/folder/log.gz"], 1, "cannot write /no/such/folder/log.gz"),
        (["restore", "/no/such/file"], 1, "cannot read /no/such/file"),
        (["dump"], 2, "FILE"),
        (["copy", "x"], 2, "dump"),
    ],
)
def test_used_wrongly(
    elsewhere: Turnlog, filled: Turnlog, arguments: list[str], code: int, said: str
) -> None:
    ran = filled("archive", *arguments)
    assert ran.code == code
    assert said in ran.err
