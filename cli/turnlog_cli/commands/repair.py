"""`turnlog repair`."""

from typing import Annotated

import typer

from turnlog_cli.options import DataDir, Json, PostgresUrl, RedisUrl, Tenant
from turnlog_cli.output import print_json
from turnlog_cli.servers import both
from turnlog_projector.repair import adopt as tie_together
from turnlog_projector.repair import go_on_without
from turnlog_schemas.ids import DEFAULT_TENANT


def repair(
    adopt: Annotated[
        bool,
        typer.Option(
            "--adopt", help="Tie this Redis and this Postgres together, whatever they held."
        ),
    ] = False,
    accept_loss: Annotated[
        str | None,
        typer.Option(
            "--accept-loss",
            metavar="SESSION",
            help="Go on without the events of this session that neither Redis nor Postgres has.",
        ),
    ] = None,
    tenant: Tenant = DEFAULT_TENANT,
    redis_url: RedisUrl = None,
    postgres_url: PostgresUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Go on deliberately with a Redis that is empty or holds another log, or without lost events.

    The projector then gives an empty Redis the archived events back. Lost events of a session that
    is quarantined for them are replaced by placeholders, which show nothing.

    \b
    Example:
      turnlog repair --adopt
    """
    if adopt == (accept_loss is not None):
        raise typer.BadParameter("say what to do: --adopt, or --accept-loss SESSION")
    urls = both(redis_url, postgres_url, data_dir)
    if accept_loss is None:
        done = tie_together(urls.redis_url, urls.postgres_url)
    else:
        lost = go_on_without(urls.redis_url, urls.postgres_url, tenant, accept_loss)
        done = f"session {tenant}:{accept_loss} goes on without {lost:,} events"
    if as_json:
        print_json({"done": done})
    else:
        print(done)
