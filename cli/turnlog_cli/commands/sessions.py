"""`turnlog sessions`."""

from typing import Annotated, Any

import typer
from pydantic_core import from_json
from rich.table import Table

from turnlog_api.queries import MAX_LIMIT, Filters, fetch, sessions_page
from turnlog_api.scope import Scope
from turnlog_cli.options import DataDir, Json, PostgresUrl, Tenant
from turnlog_cli.output import ago, console, one_line, print_json, styled
from turnlog_cli.servers import postgres_only
from turnlog_projector.database import Database, connect_postgres
from turnlog_schemas.ids import DEFAULT_TENANT


def sessions(
    user: Annotated[str | None, typer.Option("--user", help="Only this user's.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many.")] = 20,
    tenant: Tenant = DEFAULT_TENANT,
    data_dir: DataDir = None,
    postgres_url: PostgresUrl = None,
    as_json: Json = False,
) -> None:
    """List sessions, the newest first, as far as they are projected.

    \b
    Example:
      turnlog sessions --user u-1 --limit 50
    """
    url = postgres_only(postgres_url, data_dir)
    with connect_postgres(url, application_name="turnlog sessions") as connection:
        items, more = _newest(connection, Scope(tenant), Filters(user_id=user), limit)
    if as_json:
        print_json({"items": items, "has_more": more})
        return
    out = console()
    if not items:
        out.print(styled(f"no sessions of tenant {tenant}" + (f" and user {user}" if user else "")))
        return
    table = Table(box=None, pad_edge=False, header_style="bold", expand=out.is_terminal)
    table.add_column("session", no_wrap=True, overflow="fold", min_width=_longest(items))
    table.add_column("title", no_wrap=True, overflow="ellipsis", ratio=1)
    table.add_column("user", no_wrap=True, overflow="ellipsis")
    table.add_column("turns", no_wrap=True, justify="right")
    table.add_column("updated", no_wrap=True)
    for item in items:
        table.add_row(
            styled(item["session_id"], "cyan"),
            styled(one_line(item["title"] or "")),
            styled(one_line(item["user_id"] or "")),
            str(item["turn_count"]),
            ago(item["updated_at"]),
        )
    out.print(table, soft_wrap=False)
    if more:
        out.print(styled(f"the newest {limit}; --limit shows more", "dim"))


def _longest(items: list[dict[str, Any]]) -> int:
    """The width that shows every id whole: it is what people copy."""
    return max(len(item["session_id"]) for item in items)


def _newest(
    connection: Database, scope: Scope, filters: Filters, limit: int
) -> tuple[list[dict[str, Any]], bool]:
    items: list[dict[str, Any]] = []
    last: tuple[str, str] | None = None
    while True:
        page = fetch(
            connection,
            sessions_page(scope, filters, limit=min(limit - len(items), MAX_LIMIT), last=last),
        )
        items += from_json(b"[" + page.items + b"]")
        last = page.last
        if last is None or len(items) >= limit:
            return items, last is not None
