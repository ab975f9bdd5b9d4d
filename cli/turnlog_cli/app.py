"""The commands, put together."""

from importlib.metadata import version
from typing import Annotated

import typer

from turnlog_cli.commands.api import api
from turnlog_cli.commands.archive import archive
from turnlog_cli.commands.erase import erase
from turnlog_cli.commands.export import export_
from turnlog_cli.commands.generations import generations
from turnlog_cli.commands.import_ import import_
from turnlog_cli.commands.init import init
from turnlog_cli.commands.parked import parked
from turnlog_cli.commands.projector import projector
from turnlog_cli.commands.repair import repair
from turnlog_cli.commands.replay import replay
from turnlog_cli.commands.retention import retention
from turnlog_cli.commands.rollback import rollback
from turnlog_cli.commands.schema import schema
from turnlog_cli.commands.search import search_
from turnlog_cli.commands.sessions import sessions
from turnlog_cli.commands.show import show
from turnlog_cli.commands.stats import stats
from turnlog_cli.commands.status import status
from turnlog_cli.commands.tail import tail
from turnlog_cli.commands.token import token
from turnlog_cli.commands.trim import trim
from turnlog_cli.commands.up import up
from turnlog_cli.commands.verify import verify

app = typer.Typer(
    help="Turnlog, an event-sourced chat log. Each command explains itself with --help.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

COMMANDS = {
    "up": up,
    "init": init,
    "projector": projector,
    "api": api,
    "import": import_,
    "export": export_,
    "sessions": sessions,
    "search": search_,
    "show": show,
    "tail": tail,
    "stats": stats,
    "status": status,
    "replay": replay,
    "verify": verify,
    "rollback": rollback,
    "generations": generations,
    "parked": parked,
    "repair": repair,
    "trim": trim,
    "archive": archive,
    "erase": erase,
    "retention": retention,
    "schema": schema,
    "token": token,
}
for _name, _command in COMMANDS.items():
    app.command(_name)(_command)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(version("turnlog"))
        raise typer.Exit


@app.callback()
def turnlog(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Turnlog, an event-sourced chat log. Each command explains itself with --help."""
