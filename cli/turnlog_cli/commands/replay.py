"""`turnlog replay`."""

from typing import Annotated

import typer

from turnlog_cli.options import DataDir, Json, PostgresUrl
from turnlog_cli.output import print_json
from turnlog_cli.progress import Bar
from turnlog_cli.servers import postgres_only
from turnlog_projector.following import Progress
from turnlog_projector.replay import replay as run_replay


def replay(
    processes: Annotated[
        int | None,
        typer.Option(
            "--processes",
            min=1,
            help="How many fold at the same time.",
            show_default="one a core",
        ),
    ] = None,
    postgres_url: PostgresUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Rebuild every read model from the archive, then make the new generation the live one.

    Appends and reads go on meanwhile. The former generation is kept: see `turnlog generations`.

    \b
    Example:
      turnlog replay
    """
    url = postgres_only(postgres_url, data_dir)
    with Bar("replay") as bar:

        def tell(progress: Progress) -> None:
            counted = f"{progress.done:,} of {progress.total:,} events"
            bar.update(progress.done, progress.total or None, f"{progress.phase}, {counted}")

        report = run_replay(url, tell=tell, processes=processes)
    if as_json:
        print_json(report._asdict())
        return
    print(
        f"generation {report.generation} is live: {report.events:,} events of {report.sessions:,}"
        f" sessions in {report.seconds:.1f} s, checked in {report.verify_seconds:.1f} s"
    )
    print(
        f"generation {report.former} is kept;"
        f" `turnlog generations --drop {report.former}` removes it"
    )
    if report.parked:
        print(f"{report.parked} sessions are parked: see `turnlog parked`")
