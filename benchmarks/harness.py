"""What the benchmarks share: servers of their own, a log to work on, projectors, and the report.

Every benchmark compares two things on the same servers in one run, in turns, and prints medians and
their ratio: absolute numbers depend on the machine, ratios hardly do.
"""

import argparse
import multiprocessing
import os
import platform
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib.metadata import version
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import psycopg
import redis

from turnlog_cli.embedded import EmbeddedServers
from turnlog_cli.instance import ServerUrls
from turnlog_producers.keys import Keys
from turnlog_producers.meta import ensure_meta
from turnlog_producers.scripts import load_script
from turnlog_projector.database import Database, connect_postgres, connect_redis
from turnlog_projector.init import initialise
from turnlog_projector.settings import Settings
from turnlog_projector.supervisor import run_projector
from turnlog_schemas import ids, times
from turnlog_schemas.codec import encode

T = TypeVar("T")
EVENT_BYTES = 450
"""The stored size of a turn's event, on average."""

_TEXT = (
    "the revenue of each region in the last quarter grew by four percent while costs fell and "
    "orders from new customers came mostly by partners; please compare it with the year before"
)
_WORDS = _TEXT.split()


class Turns(NamedTuple):
    """What a log was filled with."""

    events: int
    sessions: int
    bytes: int
    seconds: float


def arguments(description: str | None, **defaults: int) -> argparse.Namespace:
    """Options `--name N` of a benchmark, from its defaults."""
    parser = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    for name, default in defaults.items():
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N")
    parser.add_argument(
        "--appendfsync", choices=["always", "everysec", "no"], default="always", help="of Valkey"
    )
    return parser.parse_args()


@contextmanager
def servers(options: argparse.Namespace) -> Generator[ServerUrls]:
    """Embedded servers on a new folder, initialised, as durable as those of `turnlog up`. Prints
    the settings."""
    folder = Path(tempfile.mkdtemp(prefix="turnlog-bench-", dir="/tmp"))
    folder.chmod(0o711)
    try:
        with EmbeddedServers(folder, appendfsync=options.appendfsync) as running:
            initialise(running.urls.redis_url, running.urls.postgres_url)
            _print_settings(running.urls, options)
            yield running.urls
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _print_settings(urls: ServerUrls, options: argparse.Namespace) -> None:
    with redis.Redis.from_url(urls.redis_url) as client:
        info: dict[str, Any] = client.info("server")
    with psycopg.connect(urls.postgres_url) as connection:
        names = ("server_version", "fsync", "synchronous_commit", "shared_buffers", "wal_level")
        postgres = {
            name: connection.execute("SELECT current_setting(%s)", (name,)).fetchone()
            for name in names
        }
    given = ", ".join(f"{k} {v}" for k, v in vars(options).items() if k != "appendfsync")
    valkey = info.get("valkey_version", info["redis_version"])
    print(f"Valkey {valkey}, appendfsync {options.appendfsync}")
    print("PostgreSQL " + ", ".join(f"{k} {v[0]}" for k, v in postgres.items() if v is not None))
    print(f"Python {platform.python_version()}, psycopg {version('psycopg')}, ", end="")
    print(f"{os.cpu_count()} cores; {given}", flush=True)


def new_database(urls: ServerUrls, name: str) -> ServerUrls:
    """An empty database beside the first one, initialised for the log in this Redis."""
    with psycopg.connect(urls.postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # pyright: ignore[reportArgumentType, reportCallIssue]
    url = urls.postgres_url.rsplit("/", 1)[0] + "/" + name
    initialise(urls.redis_url, url)
    return ServerUrls(urls.redis_url, url)


def drop_database(urls: ServerUrls, name: str) -> None:
    with psycopg.connect(urls.postgres_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # pyright: ignore[reportArgumentType, reportCallIssue]


# Filling the log -----------------------------------------------------------------------------


def turn_event(
    number: int, *, size: int = EVENT_BYTES, at: str | None = None, word: str = "", **more: Any
) -> tuple[str, bytes]:
    """A turn.appended of about `size` stored bytes: its id and its bytes. `word` ends its text,
    `more` are further fields."""
    event_id = ids.new_id()
    chooser = random.Random(number)
    room = int((size - 240) * (0.4 + 1.2 * chooser.random()))
    words: list[str] = []
    while room > 0:
        words.append(chooser.choice(_WORDS))
        room -= len(words[-1]) + 1
    data: dict[str, Any] = {
        "turn_id": ids.new_id(),
        "role": "assistant" if number % 2 else "user",
        "content": " ".join(words) + (f" {word}" if word else "") or "yes",
        **more,
    }
    if number % 2:
        data["model"] = "m-1"
        data["usage"] = {"input_tokens": 200 + number % 100, "output_tokens": 50}
    return event_id, encode("turn.appended", data, event_id=event_id, at=at or times.now())


class Appender:
    """Appends by the script the producers use, many calls a round trip."""

    def __init__(self, redis_url: str) -> None:
        self.client = connect_redis(redis_url, timeout_s=120.0)
        self.partitions = ensure_meta(self.client).partitions
        self._script = load_script("append")
        self.client.script_load(self._script.source)

    def append(self, session_id: str, events: list[tuple[str, bytes]], *, pipe: Any = None) -> None:
        """One call; on a pipeline when one is given."""
        keys = Keys("default", session_id, self.partitions)
        values: list[Any] = [keys.field, keys.partition, "", "", "", "", ""]
        for event_id, raw in events:
            values += (event_id, "", raw)
        target = self.client if pipe is None else pipe
        names = (keys.heads, keys.index, keys.stream, keys.ids)
        target.evalsha(self._script.sha, 4, *names, *values)

    def fill(
        self,
        events: int,
        *,
        at_once: int = 256,
        prefix: str = "s",
        turns: tuple[int, int] = (10, 20),
        size: int = EVENT_BYTES,
        said: bool = True,
    ) -> Turns:
        """Append `events` turns, one a call, in sessions of `turns` turns; `at_once` conversations
        take turns until each has ended and the next begins."""
        began = time.monotonic()
        chooser = random.Random(prefix)
        sessions = total = 0
        left: dict[str, int] = {}
        running: list[str] = []
        pipe = self.client.pipeline(transaction=False)
        number = 0
        while number < events:
            if len(running) < at_once:
                running.append(f"{prefix}-{sessions}")
                left[running[-1]] = chooser.randint(*turns)
                sessions += 1
            place = chooser.randrange(len(running))
            session_id = running[place]
            event = turn_event(number, size=size)
            total += len(event[1])
            self.append(session_id, [event], pipe=pipe)
            number += 1
            left[session_id] -= 1
            if not left[session_id]:
                del left[session_id]
                running[place] = running[-1]
                running.pop()
            if number % 2000 == 0:
                pipe.execute()
        pipe.execute()
        done = Turns(events, sessions, total, time.monotonic() - began)
        if said:
            print(
                f"log: {events:,} turns of {total / events:.0f} bytes in {sessions:,} sessions, "
                f"{at_once} at once; appended in {done.seconds:.1f} s",
                flush=True,
            )
        return done


# Projectors ----------------------------------------------------------------------------------


class Projector:
    """A projector worker in a process of its own."""

    def __init__(self, urls: ServerUrls) -> None:
        context = multiprocessing.get_context("spawn")
        self._process: BaseProcess = context.Process(target=_work, args=(urls,))
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.is_alive()

    def stop(self) -> None:
        self._process.terminate()
        self._process.join()


@contextmanager
def projectors(urls: ServerUrls, workers: int = 1) -> Generator[list[Projector]]:
    """Workers, stopped at the end."""
    started = [Projector(urls) for _ in range(workers)]
    try:
        yield started
    finally:
        for projector in started:
            projector.stop()


def _work(urls: ServerUrls) -> None:
    settings = Settings(
        redis_url=urls.redis_url, postgres_url=urls.postgres_url, log_level="WARNING"
    )
    raise SystemExit(run_projector(settings))


def projected(connection: Database) -> int:
    """How many events are archived and, by the same transactions, in the read models."""
    row = connection.execute("SELECT sum(pos)::bigint FROM turnlog.offsets").fetchone()
    return row[0] or 0 if row else 0


def await_projected(
    urls: ServerUrls, events: int, workers: list[Projector], *, timeout_s: float = 1800.0
) -> None:
    """Wait until all of them are projected."""
    deadline = time.monotonic() + timeout_s
    with connect_postgres(urls.postgres_url) as connection:
        while (done := projected(connection)) < events:
            if not all(worker.running for worker in workers):
                raise SystemExit("a projector ended before everything was projected")
            if time.monotonic() > deadline:
                raise SystemExit(f"only {done:,} of {events:,} events projected in {timeout_s} s")
            time.sleep(0.02)


def peak_rss_mib(pid: int) -> float:
    """The most memory that a running process ever held."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"process {pid} tells no VmHWM")


# Copies --------------------------------------------------------------------------------------


def dump_tables(connection: Database, tables: list[str], folder: Path) -> dict[str, Path]:
    """The rows of the tables as files, in COPY's binary form (the quicker one to read back)."""
    files: dict[str, Path] = {}
    for table in tables:
        files[table] = folder / f"{table}.copy"
        with connection.cursor() as cursor, files[table].open("wb") as file:
            query: Any = f"COPY {table} TO STDOUT (FORMAT binary)"
            with cursor.copy(query) as stream:
                for piece in stream:
                    file.write(piece)
    return files


def copy_in(connection: Database, files: dict[str, Path], schema: str) -> None:
    """COPY each file into the table of its name in `schema`."""
    for table, path in files.items():
        query: Any = f"COPY {schema}.{table.split('.')[1]} FROM STDIN (FORMAT binary)"
        with connection.cursor() as cursor, path.open("rb") as file, cursor.copy(query) as stream:
            while piece := file.read(256 * 1024):
                stream.write(piece)


# Measuring -----------------------------------------------------------------------------------


def timed(action: Callable[[], object]) -> float:
    """Seconds that it takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def median(values: list[float]) -> float:
    return statistics.median(values)


def verdict(ratio: float, bar: float, *, at_most: bool = False) -> str:
    """How a ratio stands to its bar."""
    met = ratio <= bar if at_most else ratio >= bar
    word = "at most" if at_most else "at least"
    return f"{ratio:.2f} ({word} {bar:g}: {'met' if met else 'MISSED'})"
