"""Waiting until what was asked for is erased, and saying what is beyond reach."""

import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

import typer

from turnlog_cli.progress import Bar
from turnlog_projector.database import Database, scalar
from turnlog_projector.erasing_files import NO_FILES, REWRITTEN
from turnlog_projector.erasing_log import Request, State, states_of

BEYOND = (
    "backups of either server; Postgres' dead rows and WAL until they are vacuumed"
    " and recycled; files of replicas; whatever has followed the log elsewhere"
)
_LOOK_SECONDS = 0.3
_PATIENCE_SECONDS = 10.0
"""So long a projector may need to show that it is alive."""


class Done(NamedTuple):
    """What has come of erasures by the end of the wait."""

    clean: int
    """Erased everywhere."""
    waiting: int
    """Asked for, and not everywhere yet; the projector goes on."""
    events: int
    """Events of which only stubs are left."""
    files: list[str]
    """What was done about the files of Redis; nothing of what is not done yet."""
    no_projector: bool


def confirm(question: str, *, yes: bool) -> None:
    """Ask on a terminal; without one `--yes` must have been given."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise typer.BadParameter("nobody can be asked here: say --yes")
    typer.confirm(question, abort=True, err=True)


def wait_until_clean(
    connection: Database, requests: Sequence[Request], *, timeout_s: float
) -> Done:
    """Wait until archive, read models, Redis and its files are rid of what was asked for, for at
    most `timeout_s`, or until it is clear that no projector is running."""
    began = moved = time.monotonic()
    done: list[State] = []
    waiting = states_of(connection, requests)
    with Bar("erase") as bar:
        while True:
            done += [state for state in waiting if state.done]
            waiting = [state for state in waiting if not state.done]
            gone = len(done) + sum(state.in_postgres for state in waiting)
            detail = f"gone from Postgres {gone:,}, from Redis and its files {len(done):,}"
            bar.update(len(done), len(requests), f"{detail} of {len(requests):,}")
            now = time.monotonic()
            is_stuck = now - moved > _PATIENCE_SECONDS and not _projector_runs(connection)
            if not waiting or is_stuck or now - began > timeout_s:
                break
            time.sleep(_LOOK_SECONDS)
            before, waiting = waiting, states_of(connection, [s.request for s in waiting])
            if waiting != before:
                moved = time.monotonic()
    every = done + waiting
    files = sorted({state.files for state in every if state.files is not None})
    return Done(len(done), len(waiting), sum(state.events for state in every), files, is_stuck)


def _projector_runs(connection: Database) -> bool:
    return scalar(
        connection,
        "SELECT EXISTS (SELECT FROM turnlog.workers WHERE seen_at > now() - interval '30 seconds')",
    )


def explain(done: Done) -> list[str]:
    """What has come of it, a line each."""
    lines = [f"{done.events:,} events are stubs without text, in the archive and every generation"]
    if done.clean:
        lines.append("Redis holds nothing of what they said")
    for files in done.files:
        if files == REWRITTEN:
            lines.append("the files of Redis were written anew")
        elif files != NO_FILES:
            lines.append(f"the files of Redis still hold it until they are written anew: {files}")
    if done.waiting:
        lines.append(f"{done.waiting:,} are not done yet; projectors, and replays, go on with them")
    if done.no_projector:
        lines.append("no projector is running: start one, `turnlog projector`; the log has it all")
    lines.append(f"beyond reach: {BEYOND}")
    return lines
