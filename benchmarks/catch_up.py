"""One projector worker catching up with a full log, against COPY of the rows that it wrote.

The worker is counted from the start of its process until every event is archived and in the read
models. COPY loads what the worker wrote, dumped before, into empty tables that have the same
primary keys and indexes: archive, heads, sessions, turns, titles, branches.
"""

import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from harness import (
    Appender,
    Projector,
    arguments,
    await_projected,
    copy_in,
    drop_database,
    dump_tables,
    median,
    new_database,
    peak_rss_mib,
    projectors,
    servers,
    timed,
    verdict,
)

from turnlog_cli.instance import ServerUrls
from turnlog_projector.database import connect_postgres

_TABLES = [
    *("turnlog.archive", "turnlog.heads"),
    *("g1.sessions", "g1.turns", "g1.titles", "g1.branches"),
]


def main() -> None:
    options = arguments(__doc__, events=100_000, rounds=3, at_once=256)
    folder = Path(tempfile.mkdtemp(prefix="turnlog-bench-", dir="/tmp"))
    try:
        with servers(options) as urls:
            Appender(urls.redis_url).fill(options.events, at_once=options.at_once)
            ratios: list[float] = []
            for number in range(1, options.rounds + 1):
                name = f"round_{number}"
                ours, theirs = _round(new_database(urls, name), options.events, folder)
                drop_database(urls, name)
                ratios.append(theirs / ours)
                print(
                    f"round {number}: projector {options.events / ours:,.0f} events/s, "
                    f"COPY {options.events / theirs:,.0f} events/s, ratio {theirs / ours:.2f}",
                    flush=True,
                )
            print("catching up against COPY:", verdict(median(ratios), 0.25))
    finally:
        shutil.rmtree(folder)


def _round(urls: ServerUrls, events: int, folder: Path) -> tuple[float, float]:
    """Seconds of the projector, and of COPY."""
    workers: list[Projector] = []
    with connect_postgres(urls.postgres_url) as connection:
        connection.execute("CHECKPOINT")

        def catch_up() -> None:
            workers.append(stack.enter_context(projectors(urls))[0])
            await_projected(urls, events, workers)

        with ExitStack() as stack:
            ours = timed(catch_up)
            print(f"  peak memory of the worker: {peak_rss_mib(workers[0].pid):.0f} MiB")
        files = dump_tables(connection, _TABLES, folder)
        connection.execute("CREATE SCHEMA copied")
        for table in _TABLES:
            query: Any = f"CREATE TABLE copied.{table.split('.')[1]} (LIKE {table} INCLUDING ALL)"
            connection.execute(query)
        connection.execute("CHECKPOINT")
        theirs = timed(lambda: copy_in(connection, files, "copied"))
    return ours, theirs


if __name__ == "__main__":
    main()
