"""From append to visible: the time until a reader sees a turn, at a steady rate of turns.

Ours: `TurnLog.append_turn`, a projector worker, a SELECT of the turn's row. The bar: a bare XADD, a
minimal consumer (XREAD BLOCK, INSERT, commit) in a process of its own, a SELECT of its row. Both
readers ask again until the row is there.
"""

import argparse
import multiprocessing
import threading
import time
from collections.abc import Callable
from multiprocessing.synchronize import Event
from typing import Any

import redis
from harness import arguments, median, projectors, servers, verdict

from turnlog_cli.instance import ServerUrls
from turnlog_producers import TurnLog
from turnlog_projector.database import Database, connect_postgres
from turnlog_schemas.ids import new_id

_TEXT = "word " * 70
_STREAM = "bare"


def main() -> None:
    options = arguments(__doc__, rate=200, seconds=10, rounds=3)
    with servers(options) as urls:
        ours: list[float] = []
        bare: list[float] = []
        for number in range(1, options.rounds + 1):
            bare.append(_bare(urls, options))
            ours.append(_turnlog(urls, options))
            print(
                f"round {number}: p50 Turnlog {ours[-1] * 1e3:.2f} ms, "
                f"bare {bare[-1] * 1e3:.2f} ms",
                flush=True,
            )
        ratios = [mine / theirs for mine, theirs in zip(ours, bare, strict=True)]
        print("visible against bare:", verdict(median(ratios), 5, at_most=True))


def _turnlog(urls: ServerUrls, options: argparse.Namespace) -> float:
    with (
        projectors(urls),
        TurnLog.connect(urls.redis_url) as log,
        connect_postgres(urls.postgres_url) as connection,
    ):

        def append(turn_id: str, number: int) -> None:
            log.session(f"s-{number % 50}").append_turn("user", _TEXT, turn_id=turn_id)

        query = (
            "SELECT 1 FROM g1.turns WHERE tenant = 'default' AND session_id = %s AND turn_id = %s"
        )
        warm = new_id()
        append(warm, 0)
        while connection.execute(query, ("s-0", warm)).fetchone() is None:
            time.sleep(0.01)
        return _measure(
            append,
            lambda turn_id, number: (f"s-{number % 50}", turn_id),
            query,
            connection,
            options,
        )


def _bare(urls: ServerUrls, options: argparse.Namespace) -> float:
    with (
        redis.Redis.from_url(urls.redis_url) as client,
        connect_postgres(urls.postgres_url) as connection,
    ):
        client.delete(_STREAM)
        connection.execute("DROP TABLE IF EXISTS bare_turns")
        connection.execute("CREATE TABLE bare_turns (turn_id text PRIMARY KEY, body text NOT NULL)")
        context = multiprocessing.get_context("spawn")
        ready, stop = context.Event(), context.Event()
        consumer = context.Process(target=_consume, args=(urls, ready, stop))
        consumer.start()
        ready.wait()

        def append(turn_id: str, _: int) -> None:
            client.xadd(_STREAM, {"i": turn_id, "e": _TEXT})

        query = "SELECT 1 FROM bare_turns WHERE turn_id = %s"
        try:
            return _measure(append, lambda turn_id, _: (turn_id,), query, connection, options)
        finally:
            stop.set()
            consumer.join()


def _consume(urls: ServerUrls, ready: Event, stop: Event) -> None:
    last = b"0-0"
    with (
        redis.Redis.from_url(urls.redis_url) as client,
        connect_postgres(urls.postgres_url) as connection,
    ):
        ready.set()
        while not stop.is_set():
            found: Any = client.xread({_STREAM: last}, block=200)
            for _, entries in found.items() if isinstance(found, dict) else found:
                rows: list[Any] = entries[0] if isinstance(found, dict) else entries
                with connection.transaction():
                    for id_, fields in rows:
                        last = id_
                        connection.execute(
                            "INSERT INTO bare_turns VALUES (%s, %s)",
                            (fields[b"i"].decode(), fields[b"e"].decode()),
                        )


def _measure(
    append: Callable[[str, int], None],
    params: Callable[[str, int], tuple[str, ...]],
    query: Any,
    connection: Database,
    options: argparse.Namespace,
) -> float:
    """The median of the samples, in seconds from the call of append to the row being seen."""
    samples: list[float] = []
    watched: list[tuple[float, str, int]] = []
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            if not watched:
                time.sleep(0.0005)
                continue
            began, turn_id, number = watched[0]
            while connection.execute(query, params(turn_id, number)).fetchone() is None:
                time.sleep(0.0002)
            samples.append(time.perf_counter() - began)
            watched.clear()

    reader = threading.Thread(target=watch)
    reader.start()
    first = time.perf_counter()
    for number in range(options.rate * options.seconds):
        time.sleep(max(first + number / options.rate - time.perf_counter(), 0))
        turn_id = new_id()
        began = time.perf_counter()
        append(turn_id, number)
        if not watched:
            watched.append((began, turn_id, number))
    while watched:
        time.sleep(0.01)
    done.set()
    reader.join()
    return median(samples)


if __name__ == "__main__":
    main()
