"""`turnlog trim`."""

from datetime import timedelta
from typing import Annotated

import typer

from turnlog_cli.durations import duration
from turnlog_cli.options import DataDir, Json, PostgresUrl, RedisUrl
from turnlog_cli.output import print_json, size
from turnlog_cli.progress import Bar
from turnlog_cli.servers import both
from turnlog_projector.settings import Settings, load
from turnlog_projector.trim_log import TrimProgress, TrimReport, trim_log
from turnlog_projector.trim_marks import TrimRule
from turnlog_schemas.errors import TurnlogError
from turnlog_schemas.ids import DEFAULT_TENANT, check_id

_QUIET_DAYS = 7.0


def trim(
    older_than: Annotated[
        timedelta | None,
        typer.Option(
            "--older-than",
            parser=duration,
            metavar="TIME",
            help="Trim what the archive has held for so long, such as 7d, 12h or 0.",
            show_default="TURNLOG_TRIM_AFTER_DAYS",
        ),
    ] = None,
    keep: Annotated[
        int | None,
        typer.Option(
            "--keep",
            min=0,
            metavar="N",
            help="Leave the newest N events of a session that is not quiet.",
            show_default="TURNLOG_TRIM_KEEP_EVENTS",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be trimmed.")
    ] = False,
    session: Annotated[
        str | None, typer.Option("--session", help="Trim this session only.")
    ] = None,
    tenant: Annotated[
        str | None,
        typer.Option(
            "--tenant",
            envvar="TURNLOG_TENANT",
            help="Trim this tenant's sessions only.",
            show_default="all tenants",
        ),
    ] = None,
    redis_url: RedisUrl = None,
    postgres_url: PostgresUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Trim from Redis what the archive in Postgres has held for long enough.

    Nobody notices but by the memory: reads, appends and replays go on as before. A session without
    news for as long goes whole. Projectors do the same by themselves.

    \b
    Example:
      turnlog trim --older-than 7d --dry-run
    """
    settings = load(Settings)
    days = settings.trim_after_days or _QUIET_DAYS
    if older_than is None:
        older_than = timedelta(days=days)
    rule = TrimRule.of(
        older_than, timedelta(days=days), settings.trim_keep_events if keep is None else keep
    )
    if session is not None:
        check_id(session, "--session")
        tenant = tenant or DEFAULT_TENANT
    urls = both(redis_url, postgres_url, data_dir)
    with Bar("trim") as bar:

        def tell(at: TrimProgress) -> None:
            counted = f"{at.done:,} of {at.total:,} sessions, {at.trimmed.events:,} events trimmed"
            bar.update(at.done, at.total or None, counted)

        report = trim_log(
            urls.redis_url,
            urls.postgres_url,
            rule,
            tell=tell,
            tenant=tenant,
            session_id=session,
            dry_run=dry_run,
        )
    if as_json:
        print_json(
            {
                "dry_run": dry_run,
                **vars(report.trimmed),
                "bytes_before": report.bytes_before,
                "bytes_after": report.bytes_after,
                "seconds": report.seconds,
            }
        )
    else:
        _print(report, dry_run=dry_run)
    if report.trimmed.left:
        raise TurnlogError(
            f"{report.trimmed.left} sessions were left alone: Redis and the archive disagree about "
            "them; a projector's audit puts them right, see `turnlog status`"
        )


def _print(report: TrimReport, *, dry_run: bool) -> None:
    done = report.trimmed
    print(
        f"{'would trim' if dry_run else 'trimmed'} {done.events:,} events of {done.sessions:,}"
        f" sessions in {report.seconds:.1f} s; {done.cold:,}"
        f" {'would be' if dry_run else 'are'} cold: only their heads stay in Redis"
    )
    if not dry_run:
        print(f"{done.index_entries:,} index entries trimmed")
        print(f"Redis used {size(report.bytes_before)} before, {size(report.bytes_after)} after")
