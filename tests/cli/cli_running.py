"""Running the command, with nothing of this environment's settings."""

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, NamedTuple
from unittest.mock import patch

import psycopg
import redis
from servers import wait_until

from turnlog_cli.main import run
from turnlog_producers.keys import Keys, heads_key
from turnlog_projector.settings import Settings
from turnlog_projector.worker import Worker

PARTITIONS = 4
COMMAND = (sys.executable, "-P", "-m", "turnlog_cli.main")


class Ran(NamedTuple):
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed with --json."""
        return json.loads(self.out)


class Turnlog:
    """The command, for one pair of servers."""

    def __init__(self, redis_url: str, postgres_url: str, **environment: str) -> None:
        self.redis_url = redis_url
        self.postgres_url = postgres_url
        clean = {k: v for k, v in os.environ.items() if not k.startswith("TURNLOG_")}
        self.environment = {
            **clean,
            "TURNLOG_REDIS_URL": redis_url,
            "TURNLOG_POSTGRES_URL": postgres_url,
            "PYTHONWARNINGS": "error",
            **environment,
        }

    def __call__(self, *arguments: object, stdin: bytes = b"", **environment: str) -> Ran:
        """Run it to its end, in this process: far cheaper than one of its own."""
        out, err = io.StringIO(), io.StringIO()
        with (
            io.TextIOWrapper(tempfile.TemporaryFile()) as given,
            patch.dict(os.environ, {**self.environment, **environment}, clear=True),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            given.buffer.write(stdin)
            given.buffer.seek(0)
            with patch("sys.stdin", given):
                code = run([str(each) for each in arguments])
        return Ran(code, out.getvalue(), err.getvalue())

    def process(self, *arguments: object, stdin: bytes = b"", **environment: str) -> Ran:
        """Run it to its end as a process of its own."""
        done = subprocess.run(
            [*COMMAND, *map(str, arguments)],
            input=stdin,
            capture_output=True,
            env={**self.environment, **environment},
            timeout=120,
            check=False,
        )
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())

    def start(self, *arguments: object) -> "subprocess.Popen[bytes]":
        """Start it and go on."""
        return subprocess.Popen(
            [*COMMAND, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environment,
        )

    def events(self, session_id: str, tenant: str = "default") -> list[dict[str, Any]]:
        """The stored events of a session, straight from its stream."""
        with redis.Redis.from_url(self.redis_url) as client:
            entries: Any = client.xrange(Keys(tenant, session_id, PARTITIONS).stream)
        return [json.loads(fields[b"e"]) for _, fields in entries]

    def count(self) -> int:
        """How many events the log holds."""
        with redis.Redis.from_url(self.redis_url) as client:
            heads: list[Any] = [client.hvals(heads_key(p)) for p in range(PARTITIONS)]
        return sum(int(head.split()[0]) for some in heads for head in some)


@contextmanager
def projecting(turnlog: Turnlog) -> Generator[None]:
    """A projector worker runs meanwhile; at the beginning it catches up."""
    settings = Settings(redis_url=turnlog.redis_url, postgres_url=turnlog.postgres_url)
    stopping = threading.Event()
    worker = threading.Thread(target=Worker(settings, stopping.is_set).run)
    worker.start()
    try:
        wait_until(lambda: projected(turnlog), "everything is projected")
        yield
    finally:
        stopping.set()
        worker.join()


def projected(turnlog: Turnlog) -> bool:
    """Whether the archive holds every event of the log."""
    with psycopg.connect(turnlog.postgres_url) as connection:
        row = connection.execute("SELECT count(*) FROM turnlog.archive").fetchone()
    return row is not None and row[0] == turnlog.count()
