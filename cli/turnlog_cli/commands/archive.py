"""`turnlog archive`."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from turnlog_cli.archives import reading, writing
from turnlog_cli.options import DataDir, Json, PostgresUrl, RedisUrl
from turnlog_cli.output import print_json, say, size
from turnlog_cli.progress import Bar
from turnlog_cli.servers import both, postgres_only
from turnlog_projector.archive_dump import dump_archive
from turnlog_projector.archive_restore import restore_archive


class Action(StrEnum):
    """What to do."""

    DUMP = "dump"
    RESTORE = "restore"


def archive(
    action: Annotated[Action, typer.Argument(help="dump writes FILE, restore reads it.")],
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="Plain, or .gz, or .zst; - is standard output or input."
        ),
    ],
    partitions: Annotated[
        int | None,
        typer.Option(
            "--partitions",
            min=1,
            max=4096,
            envvar="TURNLOG_PARTITIONS",
            help="restore: partitions of the new installation.",
            show_default="those of the dump",
        ),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(
            "--processes",
            min=1,
            help="restore: how many fold at the same time.",
            show_default="one a core",
        ),
    ] = None,
    redis_url: RedisUrl = None,
    postgres_url: PostgresUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Dump the whole log into a file, or restore it into an empty installation, seqs and all.

    A dump is what the archive in Postgres holds at one moment; the log goes on meanwhile. A restore
    that is broken off is run again.

    \b
    Example:
      turnlog archive dump log.jsonl.gz
    """
    if action is Action.DUMP:
        done = _dump(file, postgres_only(postgres_url, data_dir))
    else:
        urls = both(redis_url, postgres_url, data_dir)
        done = _restore(file, urls.redis_url, urls.postgres_url, partitions, processes)
    report, text = done
    if action is Action.DUMP and file == "-":
        say(text)  # the data has standard output
    elif as_json:
        print_json(report)
    else:
        print(text)


def _dump(file: str, url: str) -> tuple[dict[str, Any], str]:
    with Bar("dump") as bar, writing(file) as write:

        def tell(done: int, total: int) -> None:
            bar.update(done, total or None, f"{done:,} of {total:,} events")

        report = dump_archive(url, write, tell=tell)
    text = (
        f"{report.events:,} events of {report.sessions:,} sessions in {report.seconds:.1f} s:"
        f" {size(report.bytes)} before compression"
    )
    return report._asdict(), text


def _restore(
    file: str, redis_url: str, url: str, partitions: int | None, processes: int | None
) -> tuple[dict[str, Any], str]:
    with Bar("restore") as bar, reading(file) as lines:

        def tell(phase: str, done: int, total: int) -> None:
            bar.update(done, total or None, f"{phase}, {done:,} of {total:,}")

        report = restore_archive(
            redis_url, url, lines, tell=tell, partitions=partitions, processes=processes
        )
    text = (
        f"{report.events:,} events of {report.sessions:,} sessions restored in"
        f" {report.seconds:.1f} s, in {report.partitions} partitions; generation"
        f" {report.generation} is live"
    )
    if report.went_on:
        text += "\nthe archive was there already, from a restore that was broken off"
    return report._asdict(), text
