"""A replay, against COPY of the same rows into a new schema and then the same indexes; and whether
memory stays flat as the log grows.

The replay is counted without its verification, which is told apart. COPY loads what the replay
wrote, dumped before, over one connection. Memory is the most that any Python process of the replay,
and the projector workers that filled the archive, ever held; at a tenth of the events and at all.
"""

import multiprocessing
import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

from harness import (
    Appender,
    arguments,
    await_projected,
    copy_in,
    dump_tables,
    peak_rss_mib,
    projectors,
    servers,
    timed,
    verdict,
)

from turnlog_cli.instance import ServerUrls
from turnlog_projector.database import Database, connect_postgres
from turnlog_projector.generations import drop_generation
from turnlog_projector.replay import ReplayReport, replay
from turnlog_projector.sqlfiles import statement

_TABLES = ["sessions", "turns", "branches", "titles", "turn_revisions", "annotations"]
_COPIED = 9999


class Measured(NamedTuple):
    """A replay and the most memory that each of its processes held, in MiB."""

    report: ReplayReport
    peaks: list[float]


def main() -> None:
    options = arguments(__doc__, events=1_000_000, rounds=2, workers=2)
    small = options.events // 10
    with servers(options) as urls:
        appender = Appender(urls.redis_url)
        with projectors(urls, options.workers) as workers:
            done = 0
            for events, prefix in ((small, "a"), (options.events, "b")):
                appender.fill(events - done, prefix=prefix)
                await_projected(urls, events, workers)
                done = events
                peaks = sorted(peak_rss_mib(worker.pid) for worker in workers)
                measured = _replay(urls)
                print(
                    f"at {events:,} events: projector workers held {_mib(peaks)}, "
                    f"the replay's processes {_mib(measured.peaks)}",
                    flush=True,
                )
                _drop(urls, measured.report.former)
        ratios = [_compare(urls, number) for number in range(1, options.rounds + 1)]
    print("replay against COPY and indexes:", verdict(sorted(ratios)[len(ratios) // 2], 0.25))


def _compare(urls: ServerUrls, number: int) -> float:
    """One round: a replay, then COPY of what it wrote."""
    report = _replay(urls).report
    _drop(urls, report.former)
    folder = Path(tempfile.mkdtemp(prefix="turnlog-bench-", dir="/tmp"))
    try:
        with connect_postgres(urls.postgres_url) as connection:
            names = [f"g{report.generation}.{table}" for table in _TABLES]
            files = dump_tables(connection, names, folder)
            connection.execute("CHECKPOINT")
            copied, indexed = _copy(connection, files)
    finally:
        shutil.rmtree(folder)
    ratio = (copied + indexed) / report.seconds
    print(
        f"round {number}: replay of {report.events:,} events {report.seconds:.1f} s "
        f"({report.events / report.seconds:,.0f} events/s), verify {report.verify_seconds:.1f} s; "
        f"COPY {copied:.1f} s + indexes {indexed:.1f} s; ratio {ratio:.2f}",
        flush=True,
    )
    return ratio


def _copy(connection: Database, files: dict[str, Path]) -> tuple[float, float]:
    connection.execute(statement("generation", generation=_COPIED))

    def index() -> None:
        with connection.transaction():
            connection.execute(statement("replay_settings"))
            connection.execute(statement("generation_indexes", generation=_COPIED))

    copied = timed(lambda: copy_in(connection, files, f"g{_COPIED}"))
    indexed = timed(index)
    connection.execute(statement("drop_generation", generation=_COPIED))
    return copied, indexed


def _drop(urls: ServerUrls, generation: int) -> None:
    with connect_postgres(urls.postgres_url) as connection:
        drop_generation(connection, generation)
        connection.execute("CHECKPOINT")


def _replay(urls: ServerUrls) -> Measured:
    """Replay in a process of its own, watched."""
    context = multiprocessing.get_context("spawn")
    results: multiprocessing.Queue[ReplayReport] = context.Queue()
    process = context.Process(target=_replaying, args=(urls.postgres_url, results))
    process.start()
    assert process.pid is not None
    peaks: dict[int, float] = {}
    report: list[ReplayReport] = []
    waiting = threading.Thread(target=lambda: report.append(results.get()))
    waiting.start()
    while waiting.is_alive():
        for pid in (process.pid, *_children(process.pid)):
            try:
                peaks[pid] = peak_rss_mib(pid)
            except (OSError, ValueError):
                continue  # it has ended
        if process.exitcode:
            raise SystemExit("the replay failed")
        time.sleep(0.05)
    process.join()
    return Measured(report[0], sorted(peaks.values()))


def _replaying(postgres_url: str, results: "multiprocessing.Queue[ReplayReport]") -> None:
    results.put(replay(postgres_url, tell=lambda _: None))


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _mib(values: list[float]) -> str:
    return ", ".join(f"{value:.0f}" for value in values) + " MiB"


if __name__ == "__main__":
    main()
