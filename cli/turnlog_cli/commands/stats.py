"""`turnlog stats`."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from pydantic_core import from_json
from rich.console import Console
from rich.table import Table

from turnlog_api.days import BadRange, Days, days
from turnlog_api.queries import fetch
from turnlog_api.scope import Scope
from turnlog_api.statements import sql
from turnlog_api.stats import StatsFilters
from turnlog_api.stats import stats as question
from turnlog_cli.options import DataDir, Json, PostgresUrl, Tenant
from turnlog_cli.output import console, one_line, print_json, styled
from turnlog_cli.servers import postgres_only
from turnlog_projector.database import check_schema, connect_postgres
from turnlog_schemas.ids import DEFAULT_TENANT

_COLUMNS = (
    "",
    "turns",
    "sessions",
    "users",
    "in",
    "out",
    "p50 ms",
    "p95 ms",
    "p99 ms",
    "rated",
    "",
)


def stats(
    since: Annotated[
        str | None,
        typer.Option(
            "--since", metavar="DAY", help="From this day or time on; else the last 30 days."
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            "--until", metavar="DAY", help="Before this day or time; else to the end of today."
        ),
    ] = None,
    tz: Annotated[
        str, typer.Option("--tz", metavar="ZONE", help="Whose days, such as Europe/Berlin.")
    ] = "UTC",
    user: Annotated[
        str | None, typer.Option("--user", metavar="USER", help="In sessions of this user.")
    ] = None,
    project: Annotated[
        str | None, typer.Option("--project", metavar="NAME", help="In sessions of this project.")
    ] = None,
    session: Annotated[
        str | None, typer.Option("--session", metavar="SESSION", help="In this session alone.")
    ] = None,
    tenant: Tenant = DEFAULT_TENANT,
    postgres_url: PostgresUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Show turns, active sessions and users, tokens, response times and ratings by day.

    \b
    Example:
      turnlog stats --since 2026-01-01 --until 2026-02-01 --tz Europe/Berlin
    """
    asked = _days(since, until, tz)
    scope = Scope(tenant)
    url = postgres_only(postgres_url, data_dir)
    with connect_postgres(url, application_name="turnlog stats") as connection:
        check_schema(connection)
        with connection.transaction():
            # The function that counts goes by who reads, whatever role asks it.
            connection.execute(sql("read_as", 0), scope.settings())
            found = fetch(connection, question(scope, asked, StatsFilters(user, project, session)))
    answer = from_json(found.body)
    if as_json:
        print_json(answer)
    else:
        _print(console(), answer)


def _days(since: str | None, until: str | None, tz: str) -> Days:
    try:
        return days(since, until, tz, now=datetime.now(UTC))
    except BadRange as bad:
        raise typer.BadParameter(f"--{bad.parameter} {bad.detail}") from None


def _print(out: Console, answer: dict[str, Any]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for place, name in enumerate(_COLUMNS):
        table.add_column(name, no_wrap=True, justify="right" if place else "left")
    for day in answer["days"]:
        table.add_row(day["day"], *_cells(day), style="" if day["turns"] else "dim")
    total = answer["total"]
    table.add_row("all", *_cells(total), style="bold")
    out.print(table, soft_wrap=False)
    if roles := total["by_role"]:
        out.print(styled("roles   " + ", ".join(f"{r} {n:,}" for r, n in roles.items()), "dim"))
    for model in total["by_model"]:
        name = one_line(model["model"] or "without a model")
        usage = ", ".join(f"{one_line(key)} {n:,}" for key, n in model["usage"].items())
        out.print(styled(f"{name}   turns {model['turns']:,}, {usage}".removesuffix(", "), "dim"))


def _cells(figures: dict[str, Any]) -> list[str]:
    usage, times, ratings = figures["usage"], figures["response_time_ms"], figures["ratings"]
    return [
        *(_number(figures[key]) for key in ("turns", "active_sessions", "active_users")),
        *(_number(usage.get(key)) for key in ("input_tokens", "output_tokens")),
        *(_number(times[key]) for key in ("p50", "p95", "p99")),
        _number(ratings["count"]),
        f"avg {ratings['average']:.2f}" if ratings["count"] else "",
    ]


def _number(value: float | None) -> str:
    return f"{value:,.0f}" if value else "-"
