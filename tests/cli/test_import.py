"""`turnlog import`: everything comes in once, whatever happens, and bad lines are named."""

import gzip
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import redis
from cli_running import PARTITIONS, Turnlog
from servers import wait_until

from turnlog_api.main import create_app
from turnlog_api.settings import ApiSettings
from turnlog_producers import TurnLog
from turnlog_producers.keys import Keys
from turnlog_schemas.openai import to_openai


def user(content: Any, **fields: Any) -> dict[str, Any]:
    return {"role": "user", "content": content, **fields}


def lines(*conversations: Any) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in conversations)


def conversation(id_: Any, *contents: str, **fields: Any) -> dict[str, Any]:
    return {"id": id_, "user": "u-1", "messages": [user(text) for text in contents], **fields}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "with a space.jsonl"


async def test_real_conversations_come_back_through_the_api(
    turnlog: Turnlog, project: Callable[[], None], shared_data: Path
) -> None:
    with gzip.open(shared_data) as file:
        originals = [json.loads(line) for line in file]
    turns = sum(len(each["messages"]) for each in originals)

    first = turnlog.process("import", shared_data, "--json")
    assert first.code == 0, first.err
    assert (first.json["sessions"], first.json["turns"], first.json["bad_lines"]) == (
        len(originals),
        turns,
        0,
    )
    again = turnlog.process("import", shared_data, "--json")
    assert again.code == 0, again.err
    assert (again.json["sessions"], again.json["turns"]) == (0, 0)
    assert again.json["turns_already_there"] == turns
    assert turnlog.count() == turns + len(originals)

    project()
    app = create_app(ApiSettings(redis_url=turnlog.redis_url, postgres_url=turnlog.postgres_url))
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as api,
    ):
        for original in originals:
            url = f"/v1/sessions/{original['id']}"
            session = (await api.get(url)).json()
            assert session["user_id"] == original["user"]
            assert session["metadata"] == original["metadata"]
            page = (await api.get(f"{url}/turns", params={"limit": 1000})).json()
            assert [to_openai(turn) for turn in page["items"]] == original["messages"]


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("through", ["file", "stdin"])
def test_plain_and_gzip_are_told_apart_by_content(
    turnlog: Turnlog, file: Path, packed: bool, through: str
) -> None:
    text = lines(conversation("s-1", "Hi"), conversation("s-2", "Hello"))
    content = gzip.compress(text[:20]) + gzip.compress(text[20:]) if packed else text
    file.write_bytes(content)
    ran = (
        turnlog("import", file, "--json")
        if through == "file"
        else turnlog("import", "-", "--json", stdin=content)
    )
    assert ran.code == 0, ran.err
    assert (ran.json["sessions"], ran.json["turns"]) == (2, 2)


def test_bad_lines_are_named_and_do_not_stop_the_good_ones(turnlog: Turnlog, file: Path) -> None:
    bad = [
        b"{no json",
        b"[]",
        lines({"id": "s", "messages": [user("x", role="robot")]}),
        lines({"id": "s", "messages": [user("fine"), user(7)]}),
        b'{"id": "s", "messages": [{"role": "user", "content": "\\ud800"}]}',
        b'{"id": "s", "messages": [{"role": "user", "content": "\xff"}]}',
        lines({"id": "s", "user": "u" * 257, "messages": []}),
        lines({"id": "s", "messages": [user("x" * 2_000_000)]}),
        b'{"id": "s", "messages": [], "x": NaN}',
    ]
    content = lines(conversation("good-1", "Hi")) + b"\n \n"
    content += b"".join(line.strip() + b"\n" for line in bad)
    content += lines(conversation("good-2", "Hi")).strip()
    file.write_bytes(content)
    ran = turnlog("import", file, "--json")
    assert ran.code == 1
    assert (ran.json["sessions"], ran.json["bad_lines"]) == (2, len(bad))
    faults = {fault["line"]: fault["reason"] for fault in ran.json["faults"]}
    assert sorted(faults) == list(range(4, 4 + len(bad)))
    assert faults[4].startswith("no JSON: ")
    assert faults[5] == "given a list; allowed is an object with messages"
    assert faults[6].startswith("messages.0.role: given 'robot'; allowed: system, ")
    assert faults[7].startswith("messages.1: content: given a whole number")
    assert "surrogate" in faults[8]
    assert "data.user_id" in faults[10] or "user_id" in faults[10]
    assert "the limit is 1,048,576" in faults[11]
    assert "line 7: messages.1" in ran.err
    assert turnlog.events("s") == []


def test_a_line_that_is_too_long_is_skipped(turnlog: Turnlog) -> None:
    content = b'"' + b"x" * (65 * 1024 * 1024) + b'"\n' + lines(conversation("s-1", "Hi"))
    ran = turnlog("import", "-", "--json", stdin=gzip.compress(content, 1))
    assert ran.code == 1
    assert ran.json["faults"] == [{"line": 1, "reason": "longer than 64 MiB"}]
    assert ran.json["sessions"] == 1


def test_gzip_that_is_cut_off_is_said_after_what_was_whole(turnlog: Turnlog, file: Path) -> None:
    whole = lines(*[conversation(f"s-{n}", os.urandom(2000).hex()) for n in range(50)])
    packed = gzip.compress(whole)
    file.write_bytes(packed[: len(packed) // 2])
    ran = turnlog("import", file, "--json")
    assert ran.code == 1
    assert "is cut off or damaged" in ran.json["broken"]
    assert 10 < ran.json["sessions"] < 40
    file.write_bytes(packed)
    assert turnlog("import", file).code == 0
    assert turnlog.count() == 100


def test_times_ids_and_titles_are_kept(turnlog: Turnlog) -> None:
    given = conversation("a b/c", title="Mine", created_at=1_714_557_600)
    given["messages"] = [user("Hi", id="m-1", created_at="2024-05-01T12:00:00+02:00")]
    ran = turnlog("import", "-", "--tenant", "acme", stdin=lines(given))
    assert ran.code == 0, ran.err
    with redis.Redis.from_url(turnlog.redis_url) as client:
        heads: list[Any] = [*client.scan_iter("*:s:acme:*")]
    session_id = heads[0].decode().rpartition(":")[2]
    started, turn = turnlog.events(session_id, "acme")
    assert started["at"] == "2024-05-01T10:00:00.000000Z"
    assert started["data"]["title"] == "Mine"
    assert started["data"]["metadata"]["openai"]["fields"]["id"] == "a b/c"
    assert (turn["at"], turn["data"]["turn_id"]) == ("2024-05-01T10:00:00.000000Z", "m-1")


def test_a_conversation_of_many_messages_comes_in_batches_in_order(turnlog: Turnlog) -> None:
    given = conversation("s-1", *[f"{n}" for n in range(2500)])
    ran = turnlog("import", "-", "--json", stdin=lines(given))
    assert ran.code == 0, ran.err
    assert ran.json["turns"] == 2500
    events = turnlog.events("s-1")
    assert [event["data"]["content"] for event in events[1:]] == [str(n) for n in range(2500)]
    again = turnlog("import", "-", "--json", stdin=lines(given))
    assert (again.json["turns"], again.json["turns_already_there"]) == (0, 2500)


def test_a_conversation_that_has_grown_gets_its_new_turns(turnlog: Turnlog) -> None:
    turnlog("import", "-", stdin=lines(conversation("s-1", "one", "two")))
    with TurnLog.connect(turnlog.redis_url) as log:
        log.session("s-1").append_turn("assistant", "live")
    ran = turnlog("import", "-", "--json", stdin=lines(conversation("s-1", "one", "two", "three")))
    assert (ran.code, ran.json["turns"], ran.json["turns_already_there"]) == (0, 1, 2)
    contents = [event["data"].get("content") for event in turnlog.events("s-1")[1:]]
    assert contents == ["one", "two", "live", "three"]


@pytest.mark.parametrize(
    "other",
    [
        conversation("s-1", "one", "TWO"),
        conversation("s-1", "one", "TWO", "three"),
        conversation("s-1", "ONE", "two"),
        conversation("s-1", "one", "two") | {"user": "u-2"},
    ],
    ids=["changed end", "changed end and more", "changed beginning", "other user"],
)
def test_the_same_id_with_other_content_is_refused(turnlog: Turnlog, other: dict[str, Any]) -> None:
    both = lines(conversation("s-1", "one", "two"), other, conversation("s-1", "one", "two"))
    ran = turnlog("import", "-", "--json", stdin=both)
    assert ran.code == 1
    assert ran.json["faults"] == [
        {"line": 2, "reason": "session s-1 is in the log already, with other content"}
    ]
    assert ran.json["sessions_already_there"] == 1
    contents = [event["data"].get("content") for event in turnlog.events("s-1")[1:]]
    assert contents == ["one", "two"]


def test_a_session_of_a_live_chat_is_never_mixed_with_an_import(turnlog: Turnlog) -> None:
    with TurnLog.connect(turnlog.redis_url) as log:
        log.session("s-1", user_id="u-1").append_turn("user", "live")
    ran = turnlog("import", "-", stdin=lines(conversation("s-1", "imported")))
    assert ran.code == 1
    assert "with other content" in ran.err
    assert len(turnlog.events("s-1")) == 2


def test_an_erased_session_stays_erased(turnlog: Turnlog) -> None:
    turnlog("import", "-", stdin=lines(conversation("s-1", "secret")))
    with TurnLog.connect(turnlog.redis_url) as log:
        log.session("s-1").erase()
    before = turnlog.count()
    turnlog("import", "-", stdin=lines(conversation("s-1", "secret")))
    ran = turnlog("import", "-", stdin=lines(conversation("s-1", "secret", "more")))
    assert ran.code == 1
    assert "line 1: session s-1 is erased" in ran.err
    assert turnlog.count() == before


def trim(turnlog: Turnlog, session_id: str) -> None:
    """Make a session cold, as trimming does: its stream and ids go, the head stays."""
    with redis.Redis.from_url(turnlog.redis_url) as client:
        keys = Keys("default", session_id, PARTITIONS)
        head: Any = client.hget(keys.heads, keys.field)
        seq, _, rest = head.decode().split(" ", 2)
        client.hset(keys.heads, keys.field, f"{seq} {seq} {rest}")
        client.delete(keys.stream, keys.ids)


def test_trimmed_sessions_are_compared_with_the_archive(
    turnlog: Turnlog, project: Callable[[], None]
) -> None:
    turnlog("import", "-", stdin=lines(conversation("s-1", "one", "two")))
    project()
    trim(turnlog, "s-1")
    same = turnlog("import", "-", "--json", stdin=lines(conversation("s-1", "one", "two")))
    assert (same.code, same.json["turns"], same.json["turns_already_there"]) == (0, 0, 2)
    other = turnlog("import", "-", stdin=lines(conversation("s-1", "one", "TWO")))
    assert "with other content" in other.err
    more = turnlog("import", "-", "--json", stdin=lines(conversation("s-1", "one", "two", "three")))
    assert (more.code, more.json["turns"]) == (0, 1)
    with psycopg.connect(turnlog.postgres_url) as connection:
        wait_until(
            lambda: connection.execute("SELECT count(*) FROM turnlog.archive").fetchone() == (4,),
            "the new turn is archived",
        )


def test_a_trimmed_session_without_the_archive_is_left_alone(
    turnlog: Turnlog, project: Callable[[], None]
) -> None:
    content = lines(conversation("s-1", "one"), conversation("s-2", "new"))
    turnlog("import", "-", stdin=lines(conversation("s-1", "one")))
    project()
    trim(turnlog, "s-1")
    ran = turnlog("import", "-", "--json", stdin=content, TURNLOG_POSTGRES_URL="")
    assert ran.code == 1
    assert "give --postgres-url" in ran.json["faults"][0]["reason"]
    assert ran.json["sessions"] == 1


def test_a_run_that_was_killed_is_simply_run_again(turnlog: Turnlog, file: Path) -> None:
    content = [conversation(f"s-{n}", *[f"{n} {m}" for m in range(300)]) for n in range(200)]
    content.append(conversation("long", *[f"{m}" for m in range(5000)]))
    file.write_bytes(lines(*content))
    process = turnlog.start("import", file)
    wait_until(lambda: turnlog.count() > 5000, "the import is well under way")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    total = sum(1 + len(each["messages"]) for each in content)
    assert turnlog.count() < total
    ran = turnlog("import", file, "--json")
    assert ran.code == 0, ran.err
    assert turnlog.count() == total
    assert ran.json["turns"] + ran.json["turns_already_there"] == total - len(content)
    for each in (content[0], content[100], content[-1]):
        texts = [event["data"].get("content") for event in turnlog.events(each["id"])[1:]]
        assert texts == [message["content"] for message in each["messages"]]


def test_lines_are_taken_as_they_come(turnlog: Turnlog) -> None:
    process = turnlog.start("import", "-")
    assert process.stdin is not None
    for n in range(3):
        process.stdin.write(lines(conversation(f"s-{n}", "Hi")))
        process.stdin.flush()
        wait_until(lambda n=n: turnlog.count() == 2 * (n + 1), "the line is in the log")
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"Traceback" not in err
