"""`turnlog erase`."""

from typing import Annotated

import typer

from turnlog_cli.erasing import BEYOND, Done, confirm, explain, wait_until_clean
from turnlog_cli.options import DataDir, Json, PostgresUrl, RedisUrl, Tenant
from turnlog_cli.output import print_json, say
from turnlog_cli.progress import Bar
from turnlog_cli.servers import both
from turnlog_projector.database import Database
from turnlog_projector.erasing_log import Asked, Request, ask_to_erase, sessions_of_user
from turnlog_projector.generations import active_generation
from turnlog_projector.log import LogReader, SessionKey
from turnlog_projector.opening import opened
from turnlog_projector.readmodels import ReadModels
from turnlog_schemas.errors import TurnlogError
from turnlog_schemas.ids import DEFAULT_TENANT, check_id, partition_of

_BY = "turnlog erase"
_ROUNDS = 5
"""So often sessions of a user are looked for that were begun meanwhile."""


def erase(
    session: Annotated[
        str | None, typer.Option("--session", metavar="SESSION", help="Erase this session.")
    ] = None,
    user: Annotated[
        str | None, typer.Option("--user", metavar="USER", help="Erase all sessions of this user.")
    ] = None,
    turn: Annotated[
        str | None,
        typer.Option("--turn", metavar="SESSION/TURN", help="Erase what was written in one turn."),
    ] = None,
    tenant: Tenant = DEFAULT_TENANT,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    timeout: Annotated[
        float,
        typer.Option(
            "--timeout",
            min=0,
            metavar="SECONDS",
            help="Wait for so long until it is gone everywhere; 0 does not wait.",
        ),
    ] = 120.0,
    redis_url: RedisUrl = None,
    postgres_url: PostgresUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Erase for good what was written in a session, a turn or all sessions of a user.

    It goes from the archive, from the read models of every generation, from Redis and its files.
    What stays is that there was something: seqs, ids, times. There is no undoing it. Exit code 1
    when something could not be erased, or is not gone everywhere within the time.

    \b
    Example:
      turnlog erase --turn s-42/t-7
    """
    if sum(each is not None for each in (session, user, turn)) != 1:
        raise typer.BadParameter("name one thing to erase: --session, --user or --turn")
    urls = both(redis_url, postgres_url, data_dir)
    check_id(tenant, "--tenant")
    with opened(urls.redis_url, urls.postgres_url, application_name=_BY) as (log, connection):
        if user is not None:
            requests, asked = _user(log, connection, tenant, user, yes=yes)
        else:
            requests, asked = _one(log, connection, tenant, session, turn, yes=yes)
        done = wait_until_clean(connection, requests, timeout_s=timeout)
    _report(asked, done, as_json=as_json)
    if asked.failed or done.waiting:
        raise typer.Exit(1)


def _one(
    log: LogReader,
    connection: Database,
    tenant: str,
    session: str | None,
    turn: str | None,
    *,
    yes: bool,
) -> tuple[list[Request], Asked]:
    session_id, found, turn_id = (session or turn or "").partition("/")
    if found and turn is None:
        raise typer.BadParameter("--session names a session; for a turn say --turn SESSION/TURN")
    if turn is not None and not turn_id:
        raise typer.BadParameter("--turn names a turn of a session: SESSION/TURN")
    check_id(session_id, "--session" if turn is None else "--turn")
    if turn_id:
        check_id(turn_id, "--turn")
    key = SessionKey(partition_of(tenant, session_id, log.partitions), tenant, session_id)
    if not log.have_heads([key])[0] and not ReadModels(connection, 0).archived([key]):
        raise TurnlogError(f"there is no session {session_id} in tenant {tenant}")
    what = f"turn {turn_id} of session {session_id}" if turn_id else f"session {session_id}"
    confirm(f"Erase {what} of tenant {tenant}? It cannot be brought back.", yes=yes)
    requests = [Request(key, turn_id)]
    return requests, ask_to_erase(log, requests, by=_BY)


def _user(
    log: LogReader, connection: Database, tenant: str, user: str, *, yes: bool
) -> tuple[list[Request], Asked]:
    requests: list[Request] = []
    total = Asked([], [], [], [])
    for attempt in range(_ROUNDS):
        with Bar("looking for sessions") as bar:
            found = sessions_of_user(
                log,
                connection,
                active_generation(connection),
                tenant,
                user,
                tell=lambda done, of: bar.update(done, of, f"{done} of {of} partitions"),
            )
        known = {request.key for request in requests}
        fresh = [Request(key) for key in sorted(found - known)]
        if not fresh:
            break
        if attempt == 0:
            question = f"Erase {len(fresh):,} sessions of user {user} in tenant {tenant}?"
            confirm(f"{question} They cannot be brought back.", yes=yes)
        with Bar("asking the log") as bar:
            asked = ask_to_erase(
                log,
                fresh,
                by=_BY,
                tell=lambda done, of: bar.update(done, of, f"{done:,} of {of:,} sessions"),
            )
        requests += fresh
        for mine, theirs in zip(total, asked, strict=True):
            mine.extend(theirs)  # pyright: ignore[reportArgumentType]
    failed = {request.key for request, _ in total.failed}
    return [request for request in requests if request.key not in failed], total


def _report(asked: Asked, done: Done, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "erased": len(asked.erased),
                "erased_before": len(asked.before),
                "failed": [
                    {"session_id": request.key.session_id, "detail": str(error)}
                    for request, error in asked.failed
                ],
                "events": done.events,
                "clean": done.clean,
                "waiting": done.waiting,
                "files": done.files,
                "beyond_reach": BEYOND,
            }
        )
    else:
        names = [_name(request) for request in asked.erased[:10]]
        more = f" and {len(asked.erased) - 10:,} more" if len(asked.erased) > 10 else ""
        print(f"erased: {', '.join(names) or 'nothing'}{more}")
        if asked.before:
            print(f"{len(asked.before):,} were erased before")
        for line in explain(done):
            print(line)
    for request, error in asked.failed:
        say(f"turnlog: not erased: {request.key.field}: {error}")


def _name(request: Request) -> str:
    return request.key.field + (f"/{request.turn_id}" if request.turn_id else "")
