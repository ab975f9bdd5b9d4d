"""`turnlog api`."""

from typing import Annotated

import typer

from turnlog_cli.options import DataDir, PostgresUrl, RedisUrl
from turnlog_cli.servers import both
from turnlog_projector.logs import set_up_logging
from turnlog_projector.settings import load


def api(
    host: Annotated[
        str, typer.Option("--host", envvar="TURNLOG_HOST", help="Address to listen on.")
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(
            "--port",
            envvar="TURNLOG_PORT",
            min=0,
            max=65535,
            help="Port to listen on; 0 takes a free one.",
        ),
    ] = 8000,
    auth: Annotated[
        str | None,
        typer.Option(
            "--auth",
            envvar="TURNLOG_AUTH",
            help="off (on a loopback address only), or jwt (TURNLOG_JWT_SECRET or _JWKS_URL).",
            show_default="off",
        ),
    ] = None,
    redis_url: RedisUrl = None,
    postgres_url: PostgresUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Serve the HTTP API until stopped; any number may run beside each other.

    \b
    Example:
      turnlog api --host 127.0.0.1 --port 8000
    """
    # Here and not above: the other commands must not need the web framework.
    from turnlog_api.main import serve
    from turnlog_api.settings import ApiSettings

    urls = both(redis_url, postgres_url, data_dir)
    settings = load(
        ApiSettings,
        redis_url=urls.redis_url,
        postgres_url=urls.postgres_url,
        host=host,
        port=port,
        auth=auth,
    )
    set_up_logging(settings)
    raise typer.Exit(serve(settings))
