"""What the commands print, their exit codes, and their errors: one line, never a traceback."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
import redis
from cli_running import PARTITIONS, Turnlog
from servers import wait_until

from turnlog_cli.app import COMMANDS
from turnlog_cli.output import visible
from turnlog_producers import TurnLog
from turnlog_schemas.events import EVENT_TYPES

SECRET = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def filled(turnlog: Turnlog, project: Callable[[], None]) -> Turnlog:
    """A log with some turns, projected."""
    with TurnLog.connect(turnlog.redis_url) as log:
        chat = log.session("s-1", user_id="u-1")
        chat.append_turn("user", "How is \x1b[31mrevenue\x9b\u202e?\nBy region")
        call = {"id": "c-1", "function": {"name": "query", "arguments": '{"by": "region"}'}}
        chat.append_turn("assistant", None, tool_calls=[call], model="m-large")
        chat.append_turn("tool", "41 %", name="query", tool_call_id="c-1")
        chat.append_turn("assistant", [{"type": "text", "text": "Fine"}, {"type": "image_url"}])
        log.session("s-2", user_id="u-2").append_turn("user", "Second")
        log.session("s-3", tenant="acme").append_turn("user", "Elsewhere")
    project()
    return turnlog


def test_sessions_are_listed_newest_first(filled: Turnlog) -> None:
    ran = filled("sessions", "--json")
    assert ran.code == 0, ran.err
    assert [item["session_id"] for item in ran.json["items"]] == ["s-2", "s-1"]
    assert filled("sessions", "--limit", 1, "--json").json["has_more"]
    assert [
        i["session_id"] for i in filled("sessions", "--user", "u-1", "--json").json["items"]
    ] == ["s-1"]
    assert filled("sessions", "--tenant", "acme", "--json").json["items"][0]["session_id"] == "s-3"
    table = filled("sessions")
    assert [line.split()[0] for line in table.out.splitlines()] == ["session", "s-2", "s-1"]
    assert "no sessions of tenant nobody" in filled("sessions", "--tenant", "nobody").out


def test_more_sessions_than_a_page_are_listed(filled: Turnlog) -> None:
    with TurnLog.connect(filled.redis_url) as log:
        for n in range(1005):
            log.session(f"many-{n}").append_turn("user", "x")
    wait_until(
        lambda: len(filled("sessions", "--limit", 2000, "--json").json["items"]) == 1007,
        "all sessions are listed",
    )


def test_show_prints_a_conversation_without_raw_escapes(filled: Turnlog) -> None:
    ran = filled("show", "s-1")
    assert ran.code == 0, ran.err
    assert "\x1b" not in ran.out
    assert "\x9b" not in ran.out
    assert "\u202e" not in ran.out
    assert "How is \u241b[31mrevenue\\x9b\\u202e?\nBy region\n" in ran.out
    assert '→ query({"by": "region"})' in ran.out
    assert "── tool query " in ran.out
    assert "Fine\n[image_url]" in ran.out
    newest = filled("show", "s-1", "--limit", 1)
    assert "3 earlier turns" in newest.out
    assert "How is" not in newest.out.split("\n", 2)[2]
    found = filled("show", "s-1", "--json").json
    assert [turn["role"] for turn in found["turns"]] == ["user", "assistant", "tool", "assistant"]
    assert found["total_count"] == 4


def test_show_of_an_unknown_session_is_one_line(filled: Turnlog) -> None:
    ran = filled("show", "nope\x1b")
    assert ran.code == 1
    assert ran.err.startswith("turnlog: no session nope\u241b of tenant default is projected")
    assert ran.err.count("\n") == 1


def test_visible_shows_what_a_terminal_would_obey() -> None:
    assert visible("a\tb\nc\x00\r\x1b\x7f\x85\u2028\u2066\U0001f600") == (
        "a\tb\nc\u2400\u240d\u241b\u2421\\x85\\u2028\\u2066\U0001f600"
    )


def test_status_names_servers_and_counts(filled: Turnlog) -> None:
    ran = filled("status", "--json")
    assert ran.code == 0, ran.err
    status = ran.json
    assert status["redis_url"] == filled.redis_url
    assert status["postgres_url"] == filled.postgres_url
    assert (status["lag"]["events"], status["workers"], status["generation"]) == (0, 1, 1)
    assert (status["totals"]["sessions"], status["totals"]["turns"]) == (3, 6)
    assert len(status["partitions"]) == PARTITIONS
    table = filled("status")
    password = filled.redis_url.split("@")[0].split(":")[-1]
    assert password not in table.out + table.err
    assert "redis://:***@" in table.out


def test_status_is_wrong_without_projector_or_server(turnlog: Turnlog) -> None:
    ran = turnlog("status", "--json")
    assert ran.code == 1
    assert ran.json["wrong"] == ["no projector works: start `turnlog projector`"]
    down = turnlog("status", TURNLOG_REDIS_URL="redis://127.0.0.1:1")
    assert down.code == 1
    assert "turnlog: Redis does not answer" in down.err
    down = turnlog("status", TURNLOG_POSTGRES_URL="postgresql://u:secret@127.0.0.1:1/x")
    assert down.code == 1
    assert "turnlog: Postgres does not answer" in down.err
    assert "secret" not in down.out + down.err


def test_replay_flips_and_the_former_generation_can_be_dropped(filled: Turnlog) -> None:
    ran = filled("replay", "--json")
    assert ran.code == 0, ran.err
    assert (ran.json["generation"], ran.json["former"], ran.json["sessions"]) == (2, 1, 3)
    states = [(g["generation"], g["state"]) for g in filled("generations", "--json").json["items"]]
    assert states == [(1, "kept"), (2, "live")]
    assert len(filled("show", "s-1", "--json").json["turns"]) == 4
    refused = filled("generations", "--drop", 2)
    assert refused.code == 1
    assert "generation 2 is live" in refused.err
    dropped = filled("generations", "--drop", 1, "--json")
    assert [g["generation"] for g in dropped.json["items"]] == [2]


def test_parked_sessions_are_listed_and_skipped(filled: Turnlog) -> None:
    assert filled("parked").code == 0
    with redis.Redis.from_url(filled.redis_url) as client, TurnLog.connect(filled.redis_url) as log:
        keys = log.keys_of("default", "bad")
        script = (
            Path(__file__).resolve().parents[2] / "producers/turnlog_producers/lua/append.lua"
        ).read_text()
        arguments = [keys.field, keys.partition, "", "", "", "", "", "e-1", "", b"{no json"]
        names = [keys.heads, keys.index, keys.stream, keys.ids]
        client.eval(script, 4, *names, *arguments)
        log.session("bad").append_turn("user", "after")
    wait_until(lambda: filled("parked", "--json").json["items"], "the session is parked")
    ran = filled("parked")
    assert ran.code == 1
    assert "default:bad at seq 1" in ran.out
    assert filled("status").code == 1
    assert filled("parked", "--tenant", "other", "--json").json == {"items": []}
    again = filled("parked", "--retry-all", "--json")
    assert (again.code, again.json["folded"]) == (1, 0)
    assert filled("parked", "--retry-all", "--skip", "bad").code == 2
    skipped = filled("parked", "--skip", "bad", "--json")
    assert skipped.code == 0, skipped.err
    assert len(filled("show", "bad", "--json").json["turns"]) == 1
    unknown = filled("parked", "--retry", "s-1")
    assert unknown.code == 1
    assert "is not parked" in unknown.err


def test_repair_adopts_only_when_told(turnlog: Turnlog) -> None:
    assert turnlog("repair").code == 2
    assert turnlog("repair", "--adopt", "--accept-loss", "s").code == 2
    nothing = turnlog("repair", "--accept-loss", "s")
    assert nothing.code == 1
    assert "lacks no event that has left Redis" in nothing.err
    ran = turnlog("repair", "--adopt")
    assert ran.code == 0, ran.err
    assert "nothing to do" in ran.out


def test_init_says_what_it_did(turnlog: Turnlog, new_postgres_url: Callable[[], str]) -> None:
    fresh = turnlog("init", "--json", TURNLOG_POSTGRES_URL=new_postgres_url())
    assert fresh.code == 0, fresh.err
    assert (fresh.json["partitions"], fresh.json["generation"]) == (PARTITIONS, 1)
    assert fresh.json["applied"]
    assert "up to date" in turnlog("init").out


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_tail_follows_until_ctrl_c(turnlog: Turnlog, as_json: bool) -> None:
    with TurnLog.connect(turnlog.redis_url) as log:
        log.session("s-1").append_turn("user", "before")
        process = turnlog.start("tail", *(["--json"] if as_json else []))
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stderr.readline().startswith(b"following")
        log.session("s-1").append_turn("user", "Hi \x1b[31m")
        lines = [process.stdout.readline().decode()]
        log.session("s-2").append_turn("assistant", "Hello")
        lines.append(process.stdout.readline().decode())
        process.send_signal(signal.SIGINT)
        rest, err = process.communicate(timeout=30)
    assert (process.returncode, rest, err) == (130, b"", b"")
    if as_json:
        first, last = map(json.loads, lines)
        assert (first["tenant"], first["session_id"], first["seq"]) == ("default", "s-1", 2)
        assert last["event"]["data"]["content"] == "Hello"
    else:
        assert lines[0].endswith("default:s-1  2  turn.appended user Hi \u241b[31m\n")
        assert lines[1].endswith("default:s-2  1  turn.appended assistant Hello\n")


def test_tail_of_one_session_shows_no_other(turnlog: Turnlog) -> None:
    with TurnLog.connect(turnlog.redis_url) as log:
        log.session("s-1").append_turn("user", "before")
        process = turnlog.start("tail", "--session", "s-1")
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stderr.readline().startswith(b"following")
        for tenant, session_id in (("acme", "s-1"), ("default", "s-2"), ("default", "s-1")):
            log.session(session_id, tenant=tenant).append_turn("user", f"{tenant} {session_id}")
        line = process.stdout.readline().decode()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert line.endswith("s-1  2  turn.appended user default s-1\n")


def test_schema_prints_one_type_or_all(turnlog: Turnlog) -> None:
    assert turnlog("schema", "turn.appended").json["title"] == "turn.appended"
    assert len(turnlog("schema").json["oneOf"]) == len(EVENT_TYPES)
    assert turnlog("schema", "--names").out.split() == list(EVENT_TYPES)
    assert turnlog("schema", "turn.sung").code == 2


def test_token_is_signed_with_the_secret(turnlog: Turnlog) -> None:
    secret: dict[str, Any] = {"TURNLOG_JWT_SECRET": SECRET, "TURNLOG_JWT_AUDIENCE": "chat"}
    ran = turnlog("token", "--user", "u-1", "--tenant", "acme", "--scope", "service", **secret)
    assert ran.code == 0, ran.err
    claims = jwt.decode(ran.out.strip(), SECRET, algorithms=["HS256"], audience="chat")  # pyright: ignore[reportUnknownMemberType]
    assert (claims["sub"], claims["tenant"], claims["scope"]) == ("u-1", "acme", "service")
    assert claims["exp"] - claims["iat"] == 30 * 86400


def test_a_short_secret_is_refused_with_the_way_to_a_long_one(turnlog: Turnlog) -> None:
    ran = turnlog("token", "--user", "u-1", TURNLOG_JWT_SECRET="short")
    assert ran.code == 1
    assert "openssl rand -hex 32" in ran.err
    assert "short" not in ran.err


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "message"),
    [
        (["sing"], {}, 2, "No such command"),
        (["show"], {}, 2, "Missing argument"),
        (["sessions", "--limit", "0"], {}, 2, "--limit"),
        (["token", "--user", "u", "--tenant", "a b"], {}, 2, "allowed are 1 to 128 of"),
        (["import", "/nowhere/file"], {}, 1, "cannot read /nowhere/file: No such file"),
        (["import", "/tmp"], {}, 1, "cannot read /tmp: Is a directory"),
        (["status"], {"TURNLOG_REDIS_URL": "http://x"}, 1, "the address of Redis is wrong"),
        (["status"], {"TURNLOG_POSTGRES_URL": "mysql://x"}, 1, "TURNLOG_POSTGRES_URL cannot be"),
        (["import", "-"], {"TURNLOG_MAX_EVENT_BYTES": "x"}, 1, "TURNLOG_MAX_EVENT_BYTES: "),
        (["tail"], {"TURNLOG_REDIS_URL": "redis://127.0.0.1:1"}, 1, "Connection refused"),
        (["api", "--host", "0.0.0.0"], {}, 1, "TURNLOG_AUTH: off works on a loopback address"),
        (["projector"], {"TURNLOG_LEASE_SECONDS": "0"}, 1, "TURNLOG_LEASE_SECONDS: "),
    ],
)
def test_an_error_is_one_clear_line(
    turnlog: Turnlog, arguments: list[str], environment: dict[str, Any], code: int, message: str
) -> None:
    ran = turnlog(*arguments, **environment)
    assert ran.code == code
    assert message in ran.err
    assert "Traceback" not in ran.err
    if code == 1:
        assert ran.err.startswith("turnlog: ")
        assert ran.err.count("\n") == 1


NEED_REDIS = {"up", "init", "projector", "api", "import", "tail", "status", "parked", "repair"}
ENOUGH: dict[str, list[str]] = {
    "export": ["--output", os.devnull],
    "import": ["-"],
    "parked": ["--retry", "s"],
    "repair": ["--adopt"],
}
"""What a command must be told before it turns to a server."""


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "url", ["redis://:hush/hush@h:1", "redis://:hush@h?foo=1", "rediss://:hush@h?db=x"]
)
def test_an_address_that_cannot_be_read_is_one_line(
    turnlog: Turnlog, tmp_path: Path, command: str, url: str
) -> None:
    ran = turnlog(
        command,
        *ENOUGH.get(command, []),
        TURNLOG_REDIS_URL=url,
        TURNLOG_DATA_DIR=str(tmp_path / "data"),
        TURNLOG_PORT="0",
    )
    assert "hush" not in ran.out + ran.err
    if "of Redis is wrong" in ran.err:
        assert ran.code == 1
        assert ran.err.count("\n") == 1
    else:  # it needs more arguments, or no Redis
        assert command not in NEED_REDIS, ran.err


def test_an_address_of_postgres_that_cannot_be_read_hides_its_password(turnlog: Turnlog) -> None:
    ran = turnlog("sessions", TURNLOG_POSTGRES_URL="postgresql:/u:hush@h")
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert "TURNLOG_POSTGRES_URL cannot be used" in ran.err
    assert "hush" not in ran.err


def test_without_servers_it_says_how_to_get_some(turnlog: Turnlog, tmp_path: Path) -> None:
    nothing: dict[str, Any] = {"TURNLOG_REDIS_URL": "", "TURNLOG_POSTGRES_URL": ""}
    ran = turnlog("sessions", "--data-dir", tmp_path / "a b", **nothing)
    assert ran.code == 1
    assert "start `turnlog up`" in ran.err


def test_a_database_that_was_not_initialised_is_named(
    turnlog: Turnlog, new_postgres_url: Callable[[], str]
) -> None:
    url = new_postgres_url()
    for command in (["sessions"], ["status"], ["replay"], ["parked"], ["generations"]):
        ran = turnlog(*command, TURNLOG_POSTGRES_URL=url)
        assert ran.code == 1
        assert "run `turnlog init`" in ran.err


def test_a_missing_extra_is_named(turnlog: Turnlog) -> None:
    program = (
        "import sys; sys.modules['{0}'] = None;"
        "from turnlog_cli.main import main; sys.argv = ['turnlog', '{1}']; main()"
    )
    for module, command, extra in (
        ("typer", "sessions", "cli"),
        ("psycopg", "sessions", "projector"),
        ("fastapi", "api", "api"),
    ):
        done = subprocess.run(
            [sys.executable, "-c", program.format(module, command)],
            capture_output=True,
            env=turnlog.environment,
            check=False,
        )
        assert done.returncode == 1
        assert f"pip install 'turnlog[{extra}]'".encode() in done.stderr


def test_a_reader_that_has_seen_enough_is_no_error(filled: Turnlog) -> None:
    process = filled.start("schema")
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    err = process.stderr.read()
    process.wait()
    process.stderr.close()
    assert process.stdin is not None
    process.stdin.close()
    assert b"Traceback" not in err
