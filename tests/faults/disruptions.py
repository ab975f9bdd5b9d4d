"""What a campaign does to servers and workers while the writers work."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import cast

import redis
from load import Projector
from record import EventKey, Record
from settling import PARTITIONS, events_archived, events_in_redis
from wire import Wire

from turnlog_cli.embedded import EmbeddedServers
from turnlog_producers.keys import Keys, index_key
from turnlog_projector.database import connect_postgres

Disruption = Callable[[], None]


class Disruptions:
    """Disturbs one installation, one random disruption after the other. `counts` says what was
    done, `recoveries` how many seconds it took each time until all was projected again."""

    def __init__(
        self,
        seed: int,
        folder: Path,
        servers: EmbeddedServers,
        wire: Wire,
        projectors: list[Projector],
        record: Record,
        sessions: list[str],
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.recoveries: list[float] = []
        self.healings_forgotten = 0
        """Rows of `turnlog.healings` that went when Postgres was set back."""
        self._choice = random.Random(seed)
        self._folder = folder
        self._servers = servers
        self._wire = wire
        self._projectors = projectors
        self._record = record
        self._sessions = sessions
        self._postgres_copied_healings: int | None = None
        self._redis_copied = False
        self._kinds: dict[str, tuple[int, Disruption]] = {
            "kill a projector": (6, self._kill_projector),
            "pause a projector": (3, self._pause_projector),
            "kill Redis": (3, self._kill_redis),
            "kill Postgres": (3, self._kill_postgres),
            "kill both servers": (1, self._kill_both),
            "pause Redis": (2, self._pause_redis),
            "pause Postgres": (2, self._pause_postgres),
            "cut the connections": (3, self._wire.cut),
            "lose replies": (3, self._lose_replies),
            "hang the connections": (2, self._hang),
            "refuse connections": (2, self._refuse),
            "set Redis back": (2, self._set_redis_back),
            "set Postgres back": (2, self._set_postgres_back),
            "delete a stream": (2, self._delete_stream),
            "delete the ids of a session": (2, self._delete_ids),
            "delete a head": (1, self._delete_head),
            "delete an index entry": (2, self._delete_index_entry),
            "replay": (2, self._replay),
            "kill a replay": (1, self._kill_replay),
            "trim": (3, self._trim),
        }

    def disturb(self) -> None:
        """Do one thing, then wait until the installation has got over it."""
        names = list(self._kinds)
        [name] = self._choice.choices(names, [self._kinds[each][0] for each in names])
        self.counts[name] += 1
        print(f"{name} …", end=" ", flush=True)
        self._kinds[name][1]()
        self.recoveries.append(self._recover(name))
        print(f"over after {self.recoveries[-1]:.1f} s", flush=True)

    def _recover(self, name: str) -> float:
        """Until everything is projected that is in Redis now: it may stand still for 15 s, and go
        on for two minutes, for a busy machine and what a backup lacks."""
        began = moved = time.monotonic()
        wanted, last = events_in_redis(self._servers.urls), 0
        while (archived := events_archived(self._servers.urls)) < wanted:
            now = time.monotonic()
            if archived != last:
                last, moved = archived, now
            if now - moved > 15 or now - began > 120:
                raise AssertionError(
                    f"not everything is projected {now - began:.0f} s after: {name}; "
                    f"{wanted - archived} events are missing"
                )
            time.sleep(0.05)
        return time.monotonic() - began

    def _sleep(self, least: float, most: float) -> None:
        time.sleep(self._choice.uniform(least, most))

    # Processes ---------------------------------------------------------------------------------

    def _kill_projector(self) -> None:
        victim = self._choice.choice(self._projectors)
        victim.kill()
        self._sleep(0, 1.5)
        victim.restart()

    def _pause_projector(self) -> None:
        victim = self._choice.choice(self._projectors)
        victim.send(signal.SIGSTOP)
        self._sleep(1.5, 3)
        victim.send(signal.SIGCONT)

    def _kill_redis(self) -> None:
        self._servers.kill_redis()
        self._sleep(0, 1)
        self._servers.start_redis()

    def _kill_postgres(self) -> None:
        self._servers.kill_postgres()
        self._sleep(0, 1)
        self._servers.start_postgres()

    def _kill_both(self) -> None:
        self._servers.kill_redis()
        self._servers.kill_postgres()
        self._servers.start_postgres()
        self._servers.start_redis()

    def _pause_redis(self) -> None:
        self._pause([self._servers.redis.pid or 0])

    def _pause_postgres(self) -> None:
        postmaster = self._servers.postgres.pid or 0
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        self._pause([postmaster, *(int(child) for child in children)])

    def _pause(self, pids: list[int]) -> None:
        stopped: list[int] = []
        for pid in pids:
            if Path(f"/proc/{pid}").exists():
                os.kill(pid, signal.SIGSTOP)
                stopped.append(pid)
        self._sleep(0.5, 2.5)
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)

    # The way there -----------------------------------------------------------------------------

    def _lose_replies(self) -> None:
        self._wire.lose_replies(8)
        self._sleep(1, 3)
        self._wire.lose_replies(0)

    def _hang(self) -> None:
        self._wire.hang()
        self._sleep(0.5, 2.5)
        self._wire.flow()

    def _refuse(self) -> None:
        self._wire.close()
        self._sleep(0.2, 1.5)
        self._wire.open()

    # Older copies ------------------------------------------------------------------------------

    def _set_redis_back(self) -> None:
        """To the state of the last time; the first time makes the copy."""
        data, copy = self._folder / "redis", self._folder / "redis.copy"
        self._servers.kill_redis()
        if self._redis_copied:
            self._record.moved = True
            # Nothing can give back an event of Redis alone; a Postgres that was copied before, and
            # set back later, would forget what only it knows now.
            self._postgres_copied_healings = None
            self._excuse(self._record.told_of())
            shutil.rmtree(data)
            subprocess.run(["cp", "-a", copy, data], check=True)
            self._redis_copied = False
            shutil.rmtree(copy)
        else:
            subprocess.run(["cp", "-a", data, copy], check=True)
            self._redis_copied = True
        self._servers.start_redis()

    def _set_postgres_back(self) -> None:
        """To the state of the last time; the first time makes the copy."""
        data, copy = self._folder / "postgres", self._folder / "postgres.copy"
        known = self._healings()
        self._servers.kill_postgres()
        if self._postgres_copied_healings is not None:
            self.healings_forgotten += known - self._postgres_copied_healings
            shutil.rmtree(data)
            subprocess.run(["cp", "-a", copy, data], check=True)
            self._postgres_copied_healings = None
        else:
            shutil.rmtree(copy, ignore_errors=True)
            subprocess.run(["cp", "-a", data, copy], check=True)
            self._postgres_copied_healings = known
        self._servers.start_postgres()

    def _healings(self) -> int:
        with connect_postgres(self._servers.urls.postgres_url) as connection:
            row = connection.execute("SELECT count(*) FROM turnlog.healings").fetchone()
        assert row is not None
        return row[0]

    # By hand -----------------------------------------------------------------------------------

    def _delete_stream(self) -> None:
        self._delete(lambda client, keys: client.delete(keys.stream))

    def _delete_ids(self) -> None:
        self._delete(lambda client, keys: client.delete(keys.ids))

    def _delete_head(self) -> None:
        self._delete(lambda client, keys: client.hdel(keys.heads, keys.field))

    def _delete(self, delete: Callable[["redis.Redis", Keys], object]) -> None:
        session_id = self._choice.choice(self._sessions)
        self._record.moved = True
        with self._redis() as client:
            delete(client, Keys("default", session_id, PARTITIONS))
        self._excuse(self._record.told_of(session_id))

    def _delete_index_entry(self) -> None:
        with self._redis() as client:
            key = index_key(self._choice.randrange(PARTITIONS))
            newest = cast(list[tuple[bytes, object]], client.xrevrange(key, count=3))
            if newest:
                client.xdel(key, self._choice.choice(newest)[0])

    def _redis(self) -> "redis.Redis":
        return redis.Redis.from_url(self._servers.urls.redis_url)

    def _excuse(self, told: set[EventKey]) -> None:
        """Those that only Redis had."""
        time.sleep(0.05)  # for answers that are still on their way
        with connect_postgres(self._servers.urls.postgres_url) as connection:
            rows = connection.execute("SELECT session_id, event_id FROM turnlog.archive").fetchall()
        self._record.excused |= told - {(row[0], row[1]) for row in rows}

    # Commands ----------------------------------------------------------------------------------

    def _replay(self) -> None:
        assert self._command("replay").wait() == 0, "turnlog replay failed"

    def _kill_replay(self) -> None:
        replaying = self._command("replay")
        self._sleep(0.5, 2)
        os.killpg(replaying.pid, signal.SIGKILL)
        replaying.wait()

    def _trim(self) -> None:
        self._record.trimmed = True
        keep = str(self._choice.choice([0, 3, 50]))
        trimming = self._command("trim", "--older-than", "0", "--keep", keep)
        assert trimming.wait() == 0, "turnlog trim failed"

    def verify(self) -> list[str]:
        """What `turnlog verify` complains about: a second judge, of our own."""
        verifying = self._command("verify", "--all", output=subprocess.PIPE)
        said, _ = verifying.communicate()
        return [] if verifying.returncode == 0 else [f"verify: {said.decode()[-2000:]}"]

    def _command(
        self, *arguments: str, output: int = subprocess.DEVNULL
    ) -> "subprocess.Popen[bytes]":
        urls = self._servers.urls
        return subprocess.Popen(
            [sys.executable, "-m", "turnlog_cli.main", *arguments],
            env={
                **os.environ,
                "TURNLOG_REDIS_URL": urls.redis_url,
                "TURNLOG_POSTGRES_URL": urls.postgres_url,
            },
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
