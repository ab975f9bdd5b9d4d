"""`turnlog replay`."""

from typing import Annotated, NoReturn

import typer

from turnlog_cli.differences import printer, replay_teller, verify_teller
from turnlog_cli.interrupting import sigterm_interrupts
from turnlog_cli.options import DataDir, Json, PostgresUrl, Tenant
from turnlog_cli.output import print_json
from turnlog_cli.progress import Bar
from turnlog_cli.servers import postgres_only
from turnlog_projector.database import check_schema, connect_postgres
from turnlog_projector.log import SessionKey
from turnlog_projector.replay import ReplayReport
from turnlog_projector.replay import replay as replay_all
from turnlog_projector.replay_session import SessionReport, replay_session
from turnlog_projector.replay_until import Point, UntilReport, replay_until
from turnlog_projector.settings import Settings, load
from turnlog_projector.verify import count_partitions, verify
from turnlog_schemas import times
from turnlog_schemas.errors import InvalidEvent
from turnlog_schemas.ids import DEFAULT_TENANT, partition_of


def replay(
    session: Annotated[
        str | None,
        typer.Option(
            "--session", metavar="SESSION", help="Only this session, in place in the live one."
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            "--until",
            metavar="SEQ|TIME",
            help="Up to a time, or up to a seq of --session, into a generation to look at.",
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="What to call the generation of --until."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print what a replay would change.")
    ] = False,
    values: Annotated[
        bool,
        typer.Option("--values", help="Print texts too, instead of their length and a short hash."),
    ] = False,
    processes: Annotated[
        int | None,
        typer.Option(
            "--processes",
            min=1,
            help="How many fold at the same time.",
            show_default="one a core; one for a small log",
        ),
    ] = None,
    tenant: Tenant = DEFAULT_TENANT,
    postgres_url: PostgresUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Rebuild every read model from the archive, prove it, then make the new generation live.

    Appends and reads go on meanwhile. The former generation is kept: `turnlog rollback` goes back
    to it. Ctrl-C and SIGTERM leave nothing behind.

    \b
    Example:
      turnlog replay --dry-run
    """
    point = _point(until, session)
    if dry_run and point is not None:
        raise typer.BadParameter("--dry-run and --until exclude each other")
    if name is not None and point is None:
        raise typer.BadParameter("--name goes with --until")
    settings = load(Settings)
    url = postgres_only(postgres_url, data_dir)
    with sigterm_interrupts():
        if dry_run:
            _dry_run(url, (tenant, session) if session else None, values, processes, as_json)
        if point is not None:
            key = _key(url, tenant, session) if session else None
            with Bar("replay") as bar:
                made = replay_until(
                    url,
                    point,
                    tell=replay_teller(bar),
                    key=key,
                    name=name,
                    processes=processes,
                )
            _print_until(made, session, as_json)
        elif session is not None:
            _replay_session(url, tenant, session, values, as_json)
        else:
            with Bar("replay") as bar:
                report = replay_all(
                    url,
                    tell=replay_teller(bar),
                    processes=processes,
                    park_limit=settings.park_limit,
                    park_percent=settings.park_percent,
                )
            _print(report, as_json)


def _point(until: str | None, session: str | None) -> Point | None:
    if until is None:
        return None
    if until.isdecimal():
        if session is None:
            raise typer.BadParameter("--until SEQ needs --session; give a time for all sessions")
        return Point(seq=int(until))
    try:
        return Point(recorded_at=times.to_ms(until))
    except InvalidEvent:
        raise typer.BadParameter(
            "--until takes a seq, or a time with its offset such as 2026-01-31T12:00:00Z"
        ) from None


def _key(url: str, tenant: str, session_id: str) -> SessionKey:
    with connect_postgres(url, application_name="turnlog replay") as connection:
        check_schema(connection)
        partitions = count_partitions(connection)
    return SessionKey(partition_of(tenant, session_id, partitions), tenant, session_id)


def _dry_run(
    url: str,
    session: tuple[str, str] | None,
    values: bool,
    processes: int | None,
    as_json: bool,
) -> NoReturn:
    """What a replay would change is what the live generation differs in from the log."""
    out = printer(values=values, as_json=as_json)
    with Bar("replay") as bar:
        report = verify(
            url,
            None,
            tell=verify_teller(bar),
            report=out.difference,
            session=session,
            processes=processes,
        )
    out.report(report)
    out.end()
    raise typer.Exit(1 if report.differences else 0)


def _replay_session(url: str, tenant: str, session_id: str, values: bool, as_json: bool) -> None:
    out = printer(values=values, as_json=False)
    wrong: list[dict[str, object]] = []
    report = replay_session(
        url,
        tenant,
        session_id,
        report=lambda found: (
            wrong.append(found.told(values=values)._asdict()) if as_json else out.difference(found)
        ),
    )
    if as_json:
        print_json({**report._asdict(), "wrong": wrong})
    else:
        _print_session(report, session_id)


def _print(report: ReplayReport, as_json: bool) -> None:
    if as_json:
        print_json(report._asdict())
        return
    print(
        f"generation {report.generation} is live: {report.events:,} events of {report.sessions:,}"
        f" sessions in {report.seconds:.1f} s, proven in {report.verify_seconds:.1f} s,"
        f" digest {report.digest}"
    )
    print(
        f"generation {report.former} is kept: `turnlog rollback` goes back to it,"
        f" `turnlog generations --drop {report.former}` removes it"
    )
    if report.parked:
        print(f"{report.parked} sessions are parked: see `turnlog parked`")


def _print_until(report: UntilReport, session: str | None, as_json: bool) -> None:
    if as_json:
        print_json(report._asdict())
        return
    print(
        f"generation {report.generation}, {report.name!r}: {report.events:,} events of"
        f" {report.sessions:,} sessions in {report.seconds:.1f} s, proven in"
        f" {report.verify_seconds:.1f} s, digest {report.digest}"
    )
    print(
        f"`turnlog show {session or 'SESSION'} --generation {report.generation}` prints from it,"
        f" `turnlog generations --drop {report.generation}` removes it"
    )


def _print_session(report: SessionReport, session_id: str) -> None:
    print(
        f"session {session_id} was folded afresh in generation {report.generation}:"
        f" {report.events:,} events, digest {report.digest}"
    )
    if report.differences:
        print(f"{report.differences:,} differences were put right")
    if report.parked:
        print("it is parked: see `turnlog parked`")
