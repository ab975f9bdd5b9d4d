"""Trimming: bytes in Redis for an event and a quiet session, bytes in the archive for a real one.

`--data` names a file of conversations as `turnlog import` reads it; without one, that part is
left out.
"""

import argparse
import contextlib
import io
import time
from datetime import timedelta
from pathlib import Path

import redis
from harness import Appender, await_projected, projected, projectors, servers

from turnlog_cli.instance import ServerUrls
from turnlog_cli.main import run
from turnlog_projector.database import connect_postgres
from turnlog_projector.trim_log import TrimReport, trim_log
from turnlog_projector.trim_marks import TrimRule

_DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "agent_chats.jsonl.gz"
_NOW = timedelta(0)
_WEEK = timedelta(days=7)


def main() -> None:
    options = _arguments()
    with servers(options) as urls:
        _real_data(urls, options.data)
        _live_log(urls, options.events, options.keep)
        _quiet_sessions(urls, options.quiet, options.slice)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--events", type=int, default=200_000, metavar="N", help="of a live log")
    parser.add_argument("--keep", type=int, default=10, metavar="N", help="events a session keeps")
    parser.add_argument("--quiet", type=int, default=1_000_000, metavar="N", help="quiet sessions")
    parser.add_argument(
        "--slice", type=int, default=50_000, metavar="N", help="quiet sessions made at a time"
    )
    parser.add_argument("--data", type=Path, default=_DATA, help="conversations to import")
    parser.add_argument("--appendfsync", choices=["always", "everysec", "no"], default="always")
    return parser.parse_args()


def _real_data(urls: ServerUrls, path: Path) -> None:
    """What real conversations take in the archive."""
    if not path.exists():
        print(f"archive bytes per event of real data: left out, there is no {path}")
        return
    before = _used(urls)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        code = run(["import", str(path), "--redis-url", urls.redis_url])
    if code:
        raise SystemExit(f"the import of {path} ended with {code}")
    events = _heads(urls)[1]
    in_redis = _used(urls) - before
    with projectors(urls) as workers:
        await_projected(urls, events, workers)
    with connect_postgres(urls.postgres_url) as connection:
        connection.execute("VACUUM ANALYZE turnlog.archive")
        row = connection.execute(
            "SELECT sum(octet_length(bytes)), sum(pg_column_size(bytes)),"
            " pg_table_size('turnlog.archive'), pg_indexes_size('turnlog.archive')"
            " FROM turnlog.archive"
        ).fetchone()
    assert row is not None
    raw, stored, table, indexes = row
    print(
        f"real data, {events:,} events of {raw / events:.0f} bytes: archive "
        f"{(table + indexes) / events:.0f} bytes an event ({stored / events:.0f} of it the event, "
        f"{(table - stored) / events:.0f} the rest of the row, {indexes / events:.0f} indexes); "
        f"Redis, before trimming, {in_redis / events:.0f}",
        flush=True,
    )
    _trim(urls, keep=0)  # so that only what follows is measured by what follows


def _live_log(urls: ServerUrls, events: int, keep: int) -> None:
    """What a log takes in Redis before trimming, with some events a session kept, and with none."""
    before, known = _used(urls), _projected(urls)
    done = Appender(urls.redis_url).fill(events, prefix="live", turns=(10, 40))
    full = _used(urls) - before
    with projectors(urls) as workers:
        await_projected(urls, known + events, workers)
    print(f"untrimmed: {full / events:.0f} bytes an event, {full / done.sessions:.0f} a session")
    for kept in (keep, 0):
        report = _trim(urls, keep=kept)
        left = report.bytes_after - before
        print(
            f"newest {kept} events of a session kept: {left / events:.0f} bytes an event, "
            f"{left / done.sessions:.0f} a session; {report.trimmed.events:,} events trimmed in "
            f"{report.seconds:.1f} s ({report.trimmed.events / report.seconds:,.0f}/s)",
            flush=True,
        )


def _quiet_sessions(urls: ServerUrls, sessions: int, slice_: int) -> None:
    """What quiet sessions take, made and trimmed a slice at a time."""
    appender = Appender(urls.redis_url)
    before, known, made, trimming = _used(urls), _projected(urls), 0, 0.0
    began = time.monotonic()
    with projectors(urls, 2) as workers:
        while made < sessions:
            some = min(slice_, sessions - made)
            appender.fill(
                some * 2, at_once=1, prefix=f"quiet-{made}", turns=(2, 2), size=300, said=False
            )
            made += some
            await_projected(urls, known + made * 2, workers)
            _reset_stats(urls)
            trimming += _trim(urls, keep=0).seconds
    used = _used(urls) - before
    print(
        f"{made:,} quiet sessions: {used / made:.0f} bytes a session, {used / 2**20:.0f} MiB in "
        f"all; made in {time.monotonic() - began:.0f} s, of which {trimming:.0f} s trimming; a "
        f"call of the script, at the end: {_script_times(urls)}",
        flush=True,
    )


def _trim(urls: ServerUrls, *, keep: int) -> TrimReport:
    rule = TrimRule.of(_NOW, _WEEK, keep)
    return trim_log(urls.redis_url, urls.postgres_url, rule, tell=lambda _: None)


def _projected(urls: ServerUrls) -> int:
    with connect_postgres(urls.postgres_url) as connection:
        return projected(connection)


def _heads(urls: ServerUrls) -> tuple[int, int]:
    """Sessions and events in the log."""
    with redis.Redis.from_url(urls.redis_url) as client:
        heads = [
            head for key in client.scan_iter("*}:heads", count=1000) for head in client.hvals(key)
        ]
    return len(heads), sum(int(head.split()[0]) for head in heads)


def _used(urls: ServerUrls) -> int:
    with redis.Redis.from_url(urls.redis_url) as client:
        return client.info("memory")["used_memory"]


def _reset_stats(urls: ServerUrls) -> None:
    with redis.Redis.from_url(urls.redis_url) as client:
        client.config_resetstat()


def _script_times(urls: ServerUrls) -> str:
    """How long Redis was kept busy by each call of the script."""
    with redis.Redis.from_url(urls.redis_url) as client:
        times = client.info("latencystats")["latency_percentiles_usec_evalsha"]
    return ", ".join(f"{name} {value / 1000:.2f} ms" for name, value in times.items())


if __name__ == "__main__":
    main()
