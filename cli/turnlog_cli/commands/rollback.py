"""`turnlog rollback`."""

from enum import StrEnum
from typing import Annotated

import typer

from turnlog_cli.differences import replay_teller
from turnlog_cli.interrupting import sigterm_interrupts
from turnlog_cli.options import DataDir, Json, PostgresUrl
from turnlog_cli.output import print_json
from turnlog_cli.progress import Bar
from turnlog_cli.servers import postgres_only
from turnlog_projector.rollback import rollback as run_rollback


class Check(StrEnum):
    """How much is verified before the flip."""

    sample = "sample"
    all = "all"


def rollback(
    generation: Annotated[
        str | None,
        typer.Option(
            "--generation",
            metavar="N",
            help="The kept generation to go back to, by number.",
            show_default="the one that was live last",
        ),
    ] = None,
    check: Annotated[
        Check,
        typer.Option(
            "--verify", help="Verify 1,000 sessions and all that have changed, or every one."
        ),
    ] = Check.sample,
    processes: Annotated[
        int | None,
        typer.Option(
            "--processes",
            min=1,
            help="How many verify at the same time.",
            show_default="one a core; one for a small log",
        ),
    ] = None,
    postgres_url: PostgresUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Make a former generation live again: it catches up with the archive and is verified first.

    Appends and reads go on meanwhile. The generation that was live is kept, so that a second
    rollback undoes the first.

    \b
    Example:
      turnlog rollback --verify all
    """
    url = postgres_only(postgres_url, data_dir)
    with sigterm_interrupts(), Bar("rollback") as bar:
        report = run_rollback(
            url,
            tell=replay_teller(bar),
            generation=generation,
            check=check.value,
            processes=processes,
        )
    if as_json:
        print_json(report._asdict())
        return
    print(
        f"generation {report.generation} is live again: it caught up with {report.caught_up:,}"
        f" events in {report.seconds:.1f} s; {report.sessions:,} sessions were verified in"
        f" {report.verify_seconds:.1f} s"
    )
    print(f"generation {report.former} is kept: `turnlog rollback` goes back to it")
    if report.parked:
        print(f"{report.parked} sessions are parked: see `turnlog parked`")
