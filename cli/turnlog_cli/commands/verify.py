"""`turnlog verify`."""

from typing import Annotated

import typer

from turnlog_cli.differences import printer, verify_teller
from turnlog_cli.options import DataDir, Json, PostgresUrl, RedisUrl, Tenant
from turnlog_cli.progress import Bar
from turnlog_cli.servers import both, postgres_only
from turnlog_projector.verify import VerifyReport
from turnlog_projector.verify import verify as run_verify
from turnlog_schemas.ids import DEFAULT_TENANT


def verify(
    session: Annotated[
        str | None, typer.Option("--session", metavar="SESSION", help="This session alone.")
    ] = None,
    sample: Annotated[
        int | None, typer.Option("--sample", min=1, metavar="N", help="N sessions by chance.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Every session; so it is without an option.")
    ] = False,
    generation: Annotated[
        list[str] | None,
        typer.Option(
            "--generation",
            metavar="N",
            help="A generation, by number or name; give it again for another one.",
            show_default="the live one",
        ),
    ] = None,
    values: Annotated[
        bool,
        typer.Option("--values", help="Print texts too, instead of their length and a short hash."),
    ] = False,
    without_streams: Annotated[
        bool, typer.Option("--archive-only", help="Leave the streams in Redis alone.")
    ] = False,
    processes: Annotated[
        int | None,
        typer.Option(
            "--processes",
            min=1,
            help="How many fold at the same time.",
            show_default="one a core",
        ),
    ] = None,
    tenant: Tenant = DEFAULT_TENANT,
    redis_url: RedisUrl = None,
    postgres_url: PostgresUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Fold the log afresh and compare it with the read models; prints digests and differences.

    Appends and reads go on meanwhile. Exit code 1 when anything differs.

    \b
    Example:
      turnlog verify --sample 1000
    """
    if (session is not None) + (sample is not None) + everything > 1:
        raise typer.BadParameter("--session, --sample and --all exclude each other")
    if without_streams:
        urls = postgres_only(postgres_url, data_dir), None
    else:
        servers = both(redis_url, postgres_url, data_dir)
        urls = servers.postgres_url, servers.redis_url
    out = printer(values=values, as_json=as_json)
    reports: list[VerifyReport] = []
    for wanted in generation or [None]:
        with Bar("verify") as bar:
            report = run_verify(
                *urls,
                tell=verify_teller(bar),
                report=out.difference,
                generation=wanted,
                session=(tenant, session) if session is not None else None,
                sample=sample,
                processes=processes,
            )
        out.report(report)
        reports.append(report)
    out.end()
    raise typer.Exit(1 if any(report.differences for report in reports) else 0)
