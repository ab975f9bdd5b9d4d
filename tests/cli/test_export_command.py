"""`turnlog export`: files that are whole or not there, and come back through `turnlog import`."""

import csv
import gzip
import io
import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from appending import Writer, event, turn
from cli_running import PARTITIONS, Turnlog, projecting
from servers import SharedServers, wait_until
from writing_files import read_csv

from turnlog_projector.init import initialise

pytestmark = pytest.mark.integration
SESSIONS = 30


@pytest.fixture
def filled(turnlog: Turnlog) -> Turnlog:
    """Some projected sessions of two users."""
    with redis.Redis.from_url(turnlog.redis_url) as client:
        writer = Writer(client, partitions=PARTITIONS)
        for number in range(SESSIONS):
            about = {"user_id": f"u{number % 2}", "project": "p", "title": f"Chat {number}"}
            turns = [turn(f"t{n}", f"- text {number} {n}\n=1+1") for n in range(4)]
            writer.append(f"s{number}", event("session.started", about), *turns)
    with projecting(turnlog):
        pass
    return turnlog


@pytest.fixture
def empty(
    shared_servers: SharedServers,
    _redis_numbers: Iterator[int],
    new_postgres_url: Callable[[], str],
) -> Turnlog:
    """Another installation."""
    url = shared_servers.redis_url(next(_redis_numbers))
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    made = Turnlog(url, new_postgres_url())
    initialise(made.redis_url, made.postgres_url, partitions=PARTITIONS)
    return made


def shown(turnlog: Turnlog, ids: list[str]) -> list[Any]:
    """Sessions with their turns and revisions, without the times of the log itself."""
    found: list[Any] = []
    for session_id in ids:
        ran = turnlog("show", session_id, "--limit", 0, "--revisions", "--json")
        assert ran.code == 0, ran.err
        item = ran.json
        for each in item["turns"]:
            del each["recorded_at"]
        found.append(item)
    return found


def test_real_conversations_move_to_another_installation(
    turnlog: Turnlog, empty: Turnlog, shared_data: Path, tmp_path: Path
) -> None:
    with gzip.open(shared_data) as file:
        ids = [json.loads(line)["id"] for line in file]
    assert turnlog("import", shared_data).code == 0
    with redis.Redis.from_url(turnlog.redis_url) as client:
        writer = Writer(client, partitions=PARTITIONS)
        first = turnlog.events(ids[0])[2]["data"]["turn_id"]
        writer.append(
            ids[0],
            event("session.updated", {"title": "Mine", "pinned": True}),
            event("turn.edited", {"turn_id": first, "content": "edited"}),
            event("turn.annotated", {"turn_id": first, "kind": "rating", "value": 1, "by": "u"}),
            turn("again", "another answer", parent_turn_id=first),
        )
    with projecting(turnlog):
        pass
    file = tmp_path / "all.jsonl.gz"
    ran = turnlog("export", "--output", file, "--json")
    assert (ran.code, ran.json["sessions"], ran.json["missing"]) == (0, len(ids), [])
    assert ran.json["items"] == turnlog.count()

    moved = empty("import", file, "--json")
    assert moved.code == 0, moved.err
    assert (moved.json["sessions"], moved.json["events"]) == (len(ids), turnlog.count())
    assert empty.count() == turnlog.count()
    with projecting(empty):
        pass
    some = [*ids[:5], ids[-1]]
    assert shown(empty, some) == shown(turnlog, some)
    again = empty("import", file, "--json")
    assert (again.code, again.json["sessions"], again.json["events"]) == (0, 0, 0)
    assert again.json["events_already_there"] == empty.count() == turnlog.count()


def test_every_format_into_a_file(filled: Turnlog, tmp_path: Path) -> None:
    for format_ in ("jsonl", "json", "csv", "md"):
        file = tmp_path / f"all.{format_}"
        ran = filled("export", "--format", format_, "--output", file)
        assert ran.code == 0, ran.err
        assert ran.out.startswith(f"{SESSIONS} sessions, ")
        assert "text 17 3" in file.read_text("utf-8")
    rows = read_csv((tmp_path / "all.csv").read_bytes().decode())
    assert len(rows) == 4 * SESSIONS
    assert len(json.loads((tmp_path / "all.json").read_bytes())["sessions"]) == SESSIONS
    assert [file.name for file in tmp_path.iterdir() if file.suffix == ".part"] == []


def test_named_sessions_on_standard_output(filled: Turnlog) -> None:
    ran = filled.process("export", "s3", "--format", "md")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("# Chat 3\n")
    both = filled.process("export", "s3", "none", "s4", "--format", "csv", "--delimiter", "tab")
    assert both.code == 1
    assert "no such session: none" in both.err
    rows = list(csv.reader(io.StringIO(both.out[1:], newline=""), delimiter="\t", strict=True))
    assert [row[0] for row in rows[1:]] == ["s3"] * 4 + ["s4"] * 4


def test_filters(filled: Turnlog, tmp_path: Path) -> None:
    file = tmp_path / "some.json"
    for options, count in (
        (["--user", "u1"], SESSIONS // 2),
        (["--project", "q"], 0),
        (["--archived"], 0),
        (["--not-archived", "--since", "2020-01-01T00:00:00Z"], SESSIONS),
        (["--until", "2020-01-01T00:00:00Z"], 0),
    ):
        ran = filled("export", "-f", "json", "-o", file, "--json", *options)
        assert (ran.code, ran.json["sessions"]) == (0, count), options
        assert len(json.loads(file.read_bytes())["sessions"]) == count


def test_a_folder_of_conversations(filled: Turnlog, tmp_path: Path) -> None:
    folder = tmp_path / "chats"
    ran = filled("export", "--format", "md", "--output", f"{folder}/", "--json")
    assert (ran.code, ran.json["files"]) == (0, SESSIONS)
    names = sorted(file.name for file in folder.iterdir())
    assert names == sorted(f"turnlog-s{n}.md" for n in range(SESSIONS))
    text = (folder / "turnlog-s7.md").read_text()
    assert text.startswith("# Chat 7\n")
    assert "text 7 0" in text
    assert "text 8 0" not in text
    again = filled("export", "--format", "md", "--output", f"{folder}/")
    assert again.code == 1
    assert "holds something already" in again.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--format", "xml"],
        ["s1", "--user", "u1"],
        ["a b"],
        ["--since", "yesterday"],
        ["--json"],
        ["--format", "csv", "--output", "/tmp/"],
        ["--tenant", "a b"],
    ],
)
def test_what_cannot_be_asked_for(filled: Turnlog, arguments: list[str]) -> None:
    assert filled("export", *arguments).code == 2


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_broken_off_it_leaves_no_half_file(
    filled: Turnlog, tmp_path: Path, number: signal.Signals
) -> None:
    file = tmp_path / "all.csv"
    file.write_text("what was there")
    with redis.Redis.from_url(filled.redis_url) as client:
        writer = Writer(client, partitions=PARTITIONS)
        for start in range(40):
            writer.append("large", *(turn(f"x{start}.{n}", "y" * 20_000) for n in range(40)))
    with projecting(filled):
        pass
    process = filled.start("export", "--format", "csv", "--output", file)
    part = tmp_path / "all.csv.part"
    wait_until(lambda: part.exists() or process.poll() is not None, "the export has begun")
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode != 0
    assert b"Traceback" not in err
    assert file.read_text() == "what was there"
    assert part.exists() == (number is signal.SIGKILL)
    assert filled("export", "--format", "csv", "--output", file).code == 0
    assert len(read_csv(file.read_bytes().decode())) == 4 * SESSIONS + 1600
    assert not part.exists()


def lines(*numbers: int, session_id: str = "s1", filled: Turnlog) -> list[bytes]:
    text = filled.process("export", session_id).out.encode().splitlines(keepends=True)
    return [text[number] for number in numbers]


def test_bad_lines_stop_their_session_alone(filled: Turnlog, empty: Turnlog) -> None:
    of = {"filled": filled}
    text = lines(0, 1, 3, 4, **of)  # one is missing
    text += lines(0, 1, session_id="s2", **of)
    text += [b"{no json\n", b'{"session_id": "s5", "seq": 0}\n']
    poison = json.loads(lines(0, session_id="s3", **of)[0])
    poison["event"]["data"]["user_id"] = 7
    text += [json.dumps(poison).encode() + b"\n", *lines(0, 1, 2, 3, 4, session_id="s4", **of)]
    ran = empty("import", "-", "--json", stdin=b"".join(text))
    assert ran.code == 1
    assert (ran.json["sessions"], ran.json["events"], ran.json["bad_lines"]) == (3, 9, 4)
    reasons = {fault["line"]: fault["reason"] for fault in ran.json["faults"]}
    assert reasons[3].startswith("session s1, event 4: expected is event 3")
    assert reasons[7].startswith("no JSON")
    assert reasons[8].startswith("seq: ")
    assert reasons[9].startswith("session s3, event 1: data.user_id")
    assert [len(empty.events(f"s{n}")) for n in range(1, 6)] == [2, 2, 0, 5, 0]
    whole = filled.process("export", "s1", "s2").out.encode()
    grown = empty("import", "-", "--json", stdin=whole)
    assert (grown.code, grown.json["events"]) == (0, 6)
    assert grown.json["events_already_there"] == 4


def test_an_export_is_never_mixed_with_other_events(filled: Turnlog, empty: Turnlog) -> None:
    whole = filled.process("export", "s1", "s2").out.encode()
    with redis.Redis.from_url(empty.redis_url) as client:
        writer = Writer(client, partitions=PARTITIONS)
        writer.append("s1", turn("live"))
        assert empty("import", "-", stdin=filled.process("export", "s2").out.encode()).code == 0
        writer.append("s2", turn("live"))
    ran = empty("import", "-", "--json", stdin=whole)
    assert (ran.code, ran.json["events"]) == (1, 0)
    assert "s1 is in the log already, with other events" in ran.json["faults"][0]["reason"]
    assert len(ran.json["faults"]) == 1, "all of s2 is there"
    assert (len(empty.events("s1")), len(empty.events("s2"))) == (1, 6)


def test_lines_that_a_tool_has_written_anew_come_back_too(filled: Turnlog, empty: Turnlog) -> None:
    whole = filled.process("export", "s1").out
    anew = "".join(json.dumps(json.loads(line), indent=None) + "\n" for line in whole.splitlines())
    assert anew != whole
    assert empty("import", "-", stdin=anew.encode()).code == 0
    parts = ("event_id", "type", "data")
    found, originals = (
        [[each[part] for part in parts] for each in installation.events("s1")]
        for installation in (empty, filled)
    )
    assert found == originals
