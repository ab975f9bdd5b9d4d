"""Verification: events a second, all of a log, with its streams and without; and a digest of what a
generation holds, which is what a replay checks, against a bare COPY of the same rows to the client.
"""

from harness import (
    Appender,
    arguments,
    await_projected,
    median,
    projectors,
    servers,
    timed,
    verdict,
)

from turnlog_cli.instance import ServerUrls
from turnlog_projector.database import connect_postgres
from turnlog_projector.verify import Verification, VerifyReport, count_partitions, verify
from turnlog_projector.verify_differences import Difference
from turnlog_projector.verify_tasks import Job

_TABLES = ["sessions", "turns", "branches", "titles", "turn_revisions", "annotations"]


def main() -> None:
    options = arguments(__doc__, events=200_000, rounds=3, workers=2)
    with servers(options) as urls:
        appender = Appender(urls.redis_url)
        with projectors(urls, options.workers) as workers:
            appender.fill(options.events)
            await_projected(urls, options.events, workers)
        ratios: list[float] = []
        for number in range(1, options.rounds + 1):
            whole, archive = (_verify(urls, url) for url in (urls.redis_url, None))
            digested = timed(lambda: _digest(urls))
            copied = timed(lambda: _copy(urls))
            ratios.append(copied / digested)
            print(
                f"round {number}: verify {_rate(whole)}, without streams {_rate(archive)}; "
                f"digest {options.events / digested:,.0f} events/s, COPY out {copied:.1f} s",
                flush=True,
            )
    print("digest against COPY out:", verdict(median(ratios), 0.25))


def _verify(urls: ServerUrls, redis_url: str | None) -> VerifyReport:
    report = verify(urls.postgres_url, redis_url, tell=lambda _: None, report=_unwanted)
    assert report.digest == report.expected
    return report


def _unwanted(difference: Difference) -> None:
    raise SystemExit(f"a difference: {difference.told(values=False).line()}")


def _rate(report: VerifyReport) -> str:
    return f"{report.events / report.seconds:,.0f} events/s ({report.seconds:.1f} s)"


def _digest(urls: ServerUrls) -> None:
    with connect_postgres(urls.postgres_url) as connection:
        job = Job(urls.postgres_url, None, count_partitions(connection), 1)
        Verification(job, lambda _: None, _unwanted).digest_all(connection, processes=None)


def _copy(urls: ServerUrls) -> None:
    with connect_postgres(urls.postgres_url) as connection, connection.cursor() as cursor:
        for table in _TABLES:
            with cursor.copy(f"COPY g1.{table} TO STDOUT (FORMAT binary)") as stream:  # pyright: ignore[reportArgumentType]
                for _ in stream:
                    continue


if __name__ == "__main__":
    main()
