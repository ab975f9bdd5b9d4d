"""Options that several commands have in common."""

from pathlib import Path
from typing import Annotated

import typer

DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        envvar="TURNLOG_DATA_DIR",
        help="Folder of the running `turnlog up` whose servers to use.",
        show_default="the user's data folder",
    ),
]
RedisUrl = Annotated[
    str | None,
    typer.Option(
        "--redis-url",
        envvar="TURNLOG_REDIS_URL",
        help="Use this Redis, such as redis://localhost:6379/0.",
        show_default="that of the data folder",
    ),
]
PostgresUrl = Annotated[
    str | None,
    typer.Option(
        "--postgres-url",
        envvar="TURNLOG_POSTGRES_URL",
        help="Use this Postgres, such as postgresql://me@localhost/turnlog.",
        show_default="that of the data folder",
    ),
]
Tenant = Annotated[str, typer.Option("--tenant", envvar="TURNLOG_TENANT", help="Whose sessions.")]
Json = Annotated[
    bool, typer.Option("--json", help="Print data as JSON on stdout, progress on stderr.")
]
