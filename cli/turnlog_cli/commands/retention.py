"""`turnlog retention`."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any

import typer

from turnlog_cli.durations import duration
from turnlog_cli.erasing import confirm, explain, wait_until_clean
from turnlog_cli.options import DataDir, Json, PostgresUrl, RedisUrl
from turnlog_cli.output import ago, print_json, say
from turnlog_cli.progress import Bar
from turnlog_cli.servers import both
from turnlog_projector.erasing_log import Asked, Request
from turnlog_projector.opening import opened
from turnlog_projector.retention import Idle, due_before, erase_idle, idle_sessions
from turnlog_projector.settings import Settings, load
from turnlog_schemas.ids import check_id
from turnlog_schemas.times import from_ms

_AT_ONCE = 500
_NAMED = 100
"""So many sessions are named; all are counted."""


class Action(StrEnum):
    """What to do."""

    RUN = "run"


def retention(
    action: Annotated[Action, typer.Argument(help="run: erase what is due now.")],
    older_than: Annotated[
        timedelta | None,
        typer.Option(
            "--older-than",
            parser=duration,
            metavar="TIME",
            help="Erase sessions that nothing has come to for so long, such as 30d.",
            show_default="TURNLOG_RETENTION_DAYS",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be erased.")
    ] = False,
    tenant: Annotated[
        str | None,
        typer.Option(
            "--tenant",
            envvar="TURNLOG_TENANT",
            help="This tenant's sessions only.",
            show_default="all tenants",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    timeout: Annotated[
        float,
        typer.Option(
            "--timeout",
            min=0,
            metavar="SECONDS",
            help="Wait for so long until they are gone everywhere; 0 does not wait.",
        ),
    ] = 600.0,
    redis_url: RedisUrl = None,
    postgres_url: PostgresUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Erase whole sessions that nothing has come to for too long.

    Their age counts from the last event, by the clock of the log. With TURNLOG_RETENTION_DAYS
    projectors do the same by themselves, every hour. See `turnlog erase` for what erasing means.

    \b
    Example:
      turnlog retention run --older-than 365d --dry-run
    """
    del action  # there is but one
    if older_than is None:
        older_than = timedelta(days=load(Settings).retention_days)
    if not older_than:
        raise typer.BadParameter("say --older-than, such as 30d, or set TURNLOG_RETENTION_DAYS")
    if tenant is not None:
        check_id(tenant, "--tenant")
    urls = both(redis_url, postgres_url, data_dir)
    if not dry_run:
        confirm(f"Erase all sessions idle for longer than {_days(older_than)}?", yes=yes)
    report = _Report()
    done = None
    with opened(urls.redis_url, urls.postgres_url, application_name="turnlog retention") as (
        log,
        connection,
    ):
        before = due_before(log, connection, older_than)
        with Bar("retention") as bar:
            for partition in range(log.partitions):
                for idle in idle_sessions(
                    connection, partition, before, tenant=tenant, count=_AT_ONCE
                ):
                    report.add(idle, None if dry_run else erase_idle(log, idle))
                    counted = f"{report.sessions:,} sessions"
                    bar.update(partition, log.partitions, counted)
        if not dry_run:
            done = wait_until_clean(connection, report.erased, timeout_s=timeout)
    fields = report.fields() | {"older_than_days": older_than / timedelta(days=1)}
    if done is not None:
        fields |= {"events": done.events, "clean": done.clean, "waiting": done.waiting}
    if as_json:
        print_json({"dry_run": dry_run, **fields})
    else:
        _print(report, older_than, dry_run=dry_run)
        for line in explain(done) if done is not None and report.erased else []:
            print(line)
    for request, error in report.failed:
        say(f"turnlog: not erased: {request.key.field}: {error}")
    if report.failed or (done is not None and done.waiting):
        raise typer.Exit(1)


class _Report:
    """What was found, and what became of it."""

    def __init__(self) -> None:
        self.sessions = 0
        self.named: list[Idle] = []
        self.erased: list[Request] = []
        self.changed = 0
        self.failed: list[tuple[Request, Exception]] = []

    def add(self, idle: list[Idle], asked: Asked | None) -> None:
        self.sessions += len(idle)
        self.named += idle[: _NAMED - len(self.named)]
        if asked is not None:
            self.erased += asked.erased
            self.changed += len(asked.changed)
            self.failed += asked.failed

    def fields(self) -> dict[str, Any]:
        return {
            "due": self.sessions,
            "items": [
                {
                    "tenant": idle.key.tenant,
                    "session_id": idle.key.session_id,
                    "recorded_at": from_ms(idle.recorded_at),
                }
                for idle in self.named
            ],
            "erased": len(self.erased),
            "changed": self.changed,
            "failed": [
                {"session_id": request.key.session_id, "detail": str(error)}
                for request, error in self.failed
            ],
        }


def _print(report: _Report, older_than: timedelta, *, dry_run: bool) -> None:
    if dry_run:
        print(f"would erase {report.sessions:,} sessions, idle for longer than {_days(older_than)}")
        for idle in report.named:
            print(f"  {idle.key.field}, last event {ago(from_ms(idle.recorded_at))}")
        if report.sessions > len(report.named):
            print(f"  and {report.sessions - len(report.named):,} more")
        return
    print(f"erased {len(report.erased):,} sessions, idle for longer than {_days(older_than)}")
    if report.changed:
        print(f"{report.changed:,} got an event meanwhile, and stay")


def _days(length: timedelta) -> str:
    return f"{length / timedelta(days=1):g} days"
