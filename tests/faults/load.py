"""Writers that record every acknowledgement, and projectors as processes of their own."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import NamedTuple

from turnlog_cli.instance import ServerUrls
from turnlog_producers import TurnLog
from turnlog_producers.errors import LogDamaged, Unavailable
from turnlog_schemas.ids import new_id


class Acknowledged(NamedTuple):
    """What a writer was told."""

    session_id: str
    event_id: str
    seq: int


class Load:
    """Threads that append turns without pause until `stop`. A writer resends the identical call
    until it is answered, as a backend would."""

    def __init__(self, redis_url: str, *, writers: int, sessions: int, seed: int = 1) -> None:
        self.acknowledged: list[Acknowledged] = []
        self.failures: list[BaseException] = []
        self._redis_url = redis_url
        self._sessions = sessions
        self._ending = threading.Event()
        self._threads = [
            threading.Thread(target=self._write, args=(random.Random(seed * 100 + number),))
            for number in range(writers)
        ]
        for thread in self._threads:
            thread.start()

    def _write(self, choice: random.Random) -> None:
        try:
            with TurnLog.connect(self._redis_url, timeout_s=2.0, retry_s=1.0) as log:
                while not self._ending.is_set():
                    self._append(log, f"s-{choice.randrange(self._sessions)}")
        except BaseException as error:
            self.failures.append(error)
            raise

    def _append(self, log: TurnLog, session_id: str) -> None:
        chat = log.session(session_id, user_id="u")
        event_id = new_id()
        while True:
            try:
                appended = chat.append_turn("user", f"text of {event_id}", event_id=event_id)
                break
            except (Unavailable, LogDamaged):
                time.sleep(0.05)
        self.acknowledged.append(Acknowledged(session_id, event_id, appended.seq))

    def stop(self) -> list[Acknowledged]:
        """End the writers after the call in hand; what they were told."""
        self._ending.set()
        for thread in self._threads:
            thread.join()
        assert not self.failures, self.failures
        return self.acknowledged


@contextmanager
def load(redis_url: str, *, writers: int = 4, sessions: int = 20) -> Generator[Load]:
    """Writers for the time of the block, which stops them itself when it wants their record."""
    running = Load(redis_url, writers=writers, sessions=sessions)
    try:
        yield running
    finally:
        running.stop()


class Projector:
    """A `turnlog projector` in a process of its own."""

    def __init__(
        self,
        urls: ServerUrls,
        *,
        workers: int = 1,
        lease_seconds: float = 2.0,
        audit_seconds: float = 300.0,
        output: Path | None = None,
    ) -> None:
        """`output` is a file for what it says, else it says it here."""
        self._output = output
        self._command = [sys.executable, "-m", "turnlog_cli.main", "projector"]
        self._command += ["--workers", str(workers)]
        self._environment = {
            **os.environ,
            "TURNLOG_REDIS_URL": urls.redis_url or "",
            "TURNLOG_POSTGRES_URL": urls.postgres_url or "",
            "TURNLOG_LEASE_SECONDS": str(lease_seconds),
            "TURNLOG_AUDIT_SECONDS": str(audit_seconds),
            "TURNLOG_LOG_LEVEL": "WARNING",
        }
        self.process = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        with self._output.open("ab") if self._output else nullcontext() as output:
            return subprocess.Popen(
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stderr=output,
                start_new_session=True,
            )

    def send(self, number: signal.Signals) -> None:
        """Signal the process and its workers."""
        os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """SIGKILL all of it."""
        self.send(signal.SIGKILL)
        self.process.wait()

    def restart(self) -> None:
        """Start it again after `kill`."""
        self.process = self._start()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        if self.process.poll() is None:
            self.send(signal.SIGCONT)
            self.process.terminate()
        return self.process.wait(timeout=30)


@contextmanager
def projector(
    urls: ServerUrls, *, workers: int = 1, lease_seconds: float = 2.0
) -> Generator[Projector]:
    """A projector for the time of the block."""
    running = Projector(urls, workers=workers, lease_seconds=lease_seconds)
    try:
        yield running
    finally:
        running.stop()
