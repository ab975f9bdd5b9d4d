"""The fault campaign: random operations by several writers while servers, workers and connections
are killed, paused, cut off, set back and robbed; then a judgement of what the stores hold.

    make campaign ARGS="--seed 7 --minutes 30"

The same seed gives the same operations and disruptions; how they fall together is up to the
machine.
"""

import argparse
import logging
import shutil
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import redis
from campaign_writers import Sessions, Writer
from checker import check_campaign
from disruptions import Disruptions
from load import Projector
from record import Record
from servers import binaries, reachable_folder, wait_until
from settling import PARTITIONS, wait_until_projected
from truth import check_everything, read_archive
from wire import Wire

from turnlog_cli.embedded import EmbeddedServers
from turnlog_cli.instance import ServerUrls
from turnlog_projector.database import connect_postgres, scalar
from turnlog_projector.init import initialise


class Outcome(NamedTuple):
    """What a campaign has done and found."""

    calls: int
    events: int
    """In the archive in the end."""
    acknowledged: int
    excused: int
    disruptions: Counter[str]
    slowest_recovery_s: float
    healings: int
    violations: list[str]


def campaign(seed: int, *, seconds: float, writers: int = 4, sessions: int = 24) -> Outcome:
    """Run one on servers of its own."""
    record, shared = Record(), Sessions(sessions)
    with _installation() as (folder, servers), Wire(servers.urls.redis_url) as wire:
        projectors = [
            Projector(servers.urls, lease_seconds=1, audit_seconds=3, output=folder / "said")
            for _ in range(2)
        ]
        threads = [Writer(n, seed, wire.url, record, shared) for n in range(writers)]
        disruptions = Disruptions(seed, folder, servers, wire, projectors, record, shared.names)
        violations: list[str] = []
        try:
            for thread in threads:
                thread.start()
            end = time.monotonic() + seconds
            while time.monotonic() < end and all(thread.is_alive() for thread in threads):
                time.sleep(0.5)
                disruptions.disturb()
            for thread in threads:
                thread.stop()
                thread.join()
            wait_until_projected(servers.urls, timeout_s=60)
            violations += _judged(servers.urls, record)
            violations += disruptions.verify()
        except AssertionError as error:
            violations.append(str(error))
        finally:
            for thread in threads:
                thread.stop()
                thread.join()
            for projector in projectors:
                projector.kill()
        violations += [f"{t.name} failed: {t.failure!r}" for t in threads if t.failure]
        with connect_postgres(servers.urls.postgres_url) as connection:
            events = scalar(connection, "SELECT count(*) FROM turnlog.archive")
            healings = scalar(connection, "SELECT count(*) FROM turnlog.healings")
    return Outcome(
        sum(thread.calls for thread in threads),
        events,
        len(record.told),
        len(record.excused),
        disruptions.counts,
        max(disruptions.recoveries, default=0.0),
        healings + disruptions.healings_forgotten,
        violations,
    )


@contextmanager
def _installation() -> Generator[tuple[Path, EmbeddedServers]]:
    folder = reachable_folder()
    servers = EmbeddedServers(folder, appendfsync="always", **binaries())
    try:
        urls = servers.start()
        initialise(urls.redis_url, urls.postgres_url, partitions=PARTITIONS)
        yield folder, servers
    finally:
        servers.stop()
        shutil.rmtree(folder)


def _judged(urls: ServerUrls, record: Record) -> list[str]:
    """What is wrong in the end: an audit may still have to find what was deleted last."""
    found: list[str] = []

    def right() -> bool:
        with (
            redis.Redis.from_url(urls.redis_url) as client,
            connect_postgres(urls.postgres_url) as connection,
        ):
            found[:] = check_everything(client, connection, partitions=PARTITIONS)
            found.extend(check_campaign(record, read_archive(connection)))
        return not found

    try:
        wait_until(right, "the stores are right", timeout_s=30)
    except AssertionError:
        return found
    return []


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--writers", type=int, default=4)
    parser.add_argument("--sessions", type=int, default=24)
    options = parser.parse_args()
    logging.disable()  # the producers tell of every connection that breaks
    print(f"seed {options.seed}, {options.minutes:g} minutes, {options.writers} writers")
    outcome = campaign(
        options.seed,
        seconds=options.minutes * 60,
        writers=options.writers,
        sessions=options.sessions,
    )
    print(f"calls {outcome.calls:,}, acknowledged events {outcome.acknowledged:,}")
    print(f"archived events {outcome.events:,}")
    print(f"answered by a Redis that was then set back or robbed: {outcome.excused:,}")
    for name, count in sorted(outcome.disruptions.items()):
        print(f"  {name}: {count}")
    print(f"disruptions {outcome.disruptions.total()}, healings {outcome.healings}")
    print(f"slowest recovery {outcome.slowest_recovery_s:.1f} s")
    print(f"violations {len(outcome.violations)}")
    for line in outcome.violations[:20]:
        print(f"  {line}")
    return 1 if outcome.violations else 0


if __name__ == "__main__":
    raise SystemExit(main())
