"""Appending turns by both clients, against raw XADD of the same bytes into the same server.

The async client has 256 tasks, each awaiting one append after another in sessions of its own; the
bar is redis-py's pipeline, 500 XADDs a round trip. The sync client appends one turn at a time; the
bar is redis-py's XADD, one at a time. A raw entry has the same three fields as ours, in as many
streams as we have sessions.
"""

import argparse
import asyncio
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import redis
from harness import median, timed, verdict

from turnlog_cli.embedded import EmbeddedServers
from turnlog_producers import AsyncTurnLog, TurnLog
from turnlog_producers.core import Event
from turnlog_producers.methods import EventBuilder

_PIPELINE = 500
_TURNS_A_SESSION = 20


def main() -> None:
    options = _arguments()
    with _server(options) as url, redis.Redis.from_url(url) as client:
        version: dict[str, Any] = client.info("server")
        name = version.get("valkey_version", version["redis_version"])
        sync: dict[str, Any] = cast(Any, client.config_get("append*"))
        print(f"Valkey {name}, appendonly {sync['appendonly']}, appendfsync {sync['appendfsync']}")
        raw = len(_built(options.bytes).raw)
        print(f"turns of {raw} stored bytes; {options.turns:,} a round from {options.tasks} tasks")
        print(
            f"{options.lone:,} a round one at a time; rounds in turns: {options.rounds}", flush=True
        )
        many = [_round_of_many(client, url, options, n) for n in range(options.rounds)]
        lone = [_round_of_one(client, url, options, n) for n in range(options.rounds)]
    ratio = median([ours / theirs for ours, theirs in many])
    print(f"async against {_PIPELINE} raw XADDs a pipeline:", verdict(ratio, 0.25), "(aim: 0.4)")
    ratio = median([ours / theirs for ours, theirs in lone])
    print("sync against raw XADD, one at a time:", verdict(ratio, 0.5))


def _round_of_many(
    client: "redis.Redis", url: str, options: argparse.Namespace, number: int
) -> tuple[float, float]:
    """Appends a second by many tasks, and raw."""
    client.flushdb()
    ours = options.turns / asyncio.run(_append_at_once(url, options))
    client.flushdb()
    theirs = options.turns / timed(lambda: _pipelined(client, options))
    print(
        f"round {number}: async {ours:,.0f}/s, raw {theirs:,.0f}/s, {ours / theirs:.2f}", flush=True
    )
    return ours, theirs


async def _append_at_once(url: str, options: argparse.Namespace) -> float:
    text = _text(options.bytes)
    each = options.turns // options.tasks

    async def converse(log: AsyncTurnLog, task: int) -> None:
        for first in range(0, each, _TURNS_A_SESSION):
            chat = log.session(f"s-{task}-{first}")
            for _ in range(min(_TURNS_A_SESSION, each - first)):
                await chat.append_turn("user", text)

    async with AsyncTurnLog.connect(url) as log:
        await log.session("first").append_turn("user", text)  # connects
        loop = asyncio.get_running_loop()
        began = loop.time()
        await asyncio.gather(*(converse(log, task) for task in range(options.tasks)))
        return (loop.time() - began) * options.turns / (each * options.tasks)


def _pipelined(client: "redis.Redis", options: argparse.Namespace) -> None:
    event = _built(options.bytes)
    sessions = max(options.turns // _TURNS_A_SESSION, 1)
    for first in range(0, options.turns, _PIPELINE):
        pipeline = client.pipeline(transaction=False)
        for number in range(first, min(first + _PIPELINE, options.turns)):
            pipeline.xadd(f"raw:{number % sessions}", _fields(event))
        pipeline.execute()


def _round_of_one(
    client: "redis.Redis", url: str, options: argparse.Namespace, number: int
) -> tuple[float, float]:
    """Appends a second one at a time, and raw."""
    event = _built(options.bytes)
    text = _text(options.bytes)
    with TurnLog.connect(url) as log:
        chat = log.session(f"lone-{number}")
        chat.append_turn("user", text)

        def append() -> None:
            for _ in range(options.lone):
                chat.append_turn("user", text)

        def add() -> None:
            for _ in range(options.lone):
                client.xadd(f"raw:lone-{number}", _fields(event))

        ours, theirs = options.lone / timed(append), options.lone / timed(add)
    print(
        f"round {number}: sync {ours:,.0f}/s, raw {theirs:,.0f}/s, {ours / theirs:.2f}", flush=True
    )
    return ours, theirs


def _fields(event: Event) -> dict[Any, Any]:
    return {"e": event.raw, "i": event.event_id, "t": 1_700_000_000_000}


def _text(size: int) -> str:
    """Content that makes an event of `size` stored bytes."""
    bare = EventBuilder(started={}, actor=None, max_event_bytes=size).append_turn("user", "")
    return ("what a person would write, more or less " * size)[: size - len(bare.raw)]


def _built(size: int) -> Event:
    builder = EventBuilder(started={}, actor=None, max_event_bytes=size)
    return builder.append_turn("user", _text(size))


@contextmanager
def _server(options: argparse.Namespace) -> Generator[str]:
    if options.redis_url:
        yield options.redis_url
        return
    folder = Path(tempfile.mkdtemp(prefix="turnlog-bench-", dir="/tmp"))
    folder.chmod(0o711)
    try:
        with EmbeddedServers(
            folder, appendfsync=options.appendfsync, with_postgres=False
        ) as running:
            yield running.urls.redis_url
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--turns", type=int, default=50_000, help="a round, by all tasks")
    parser.add_argument("--tasks", type=int, default=256)
    parser.add_argument("--lone", type=int, default=3_000, help="turns a round, one at a time")
    parser.add_argument("--bytes", type=int, default=450, help="stored size of a turn")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--appendfsync", choices=["always", "everysec", "no"], default="always")
    parser.add_argument("--redis-url", help="an empty database to use instead; it is flushed")
    return parser.parse_args()


if __name__ == "__main__":
    main()
