"""`turnlog schema`."""

from typing import Annotated

import typer

from turnlog_cli.output import print_json
from turnlog_schemas.events import EVENT_TYPES
from turnlog_schemas.jsonschema import event_schema, log_schema


def schema(
    type_: Annotated[
        str | None,
        typer.Argument(metavar="TYPE", help="An event type; all of them without one."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON on stdout; a schema always is.")
    ] = False,
    names: Annotated[bool, typer.Option("--names", help="Only list the event types.")] = False,
) -> None:
    """Print the JSON Schema (2020-12) of an event type, or of all, with examples.

    \b
    Example:
      turnlog schema turn.appended
    """
    if names:
        if as_json:
            print_json(list(EVENT_TYPES))
        else:
            print("\n".join(EVENT_TYPES))
        return
    if type_ is not None and type_ not in EVENT_TYPES:
        raise typer.BadParameter(f"{type_!r} is none of {', '.join(EVENT_TYPES)}")
    print_json(log_schema() if type_ is None else event_schema(type_))
