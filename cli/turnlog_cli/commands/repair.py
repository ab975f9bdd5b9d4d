"""`turnlog repair`."""

from typing import Annotated

import typer

from turnlog_cli.options import DataDir, Json, PostgresUrl, RedisUrl
from turnlog_cli.output import print_json
from turnlog_cli.servers import both
from turnlog_projector.repair import adopt as tie_together


def repair(
    adopt: Annotated[
        bool,
        typer.Option(
            "--adopt", help="Tie this Redis and this Postgres together, whatever they held."
        ),
    ] = False,
    redis_url: RedisUrl = None,
    postgres_url: PostgresUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Go on deliberately with a Redis that is empty, or holds another log than Postgres knows.

    The projector then gives an empty Redis the archived events back.

    \b
    Example:
      turnlog repair --adopt
    """
    if not adopt:
        raise typer.BadParameter("say what to do: --adopt")
    urls = both(redis_url, postgres_url, data_dir)
    done = tie_together(urls.redis_url, urls.postgres_url)
    if as_json:
        print_json({"done": done})
    else:
        print(done)
