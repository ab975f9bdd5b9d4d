"""Exports: what a file is made of, in which order it is read, and nothing of who reads it.

An export is a generator: it yields questions to Postgres and is sent their answers, and yields
pieces of the file. The API answers without blocking, a job and the command line over a plain
connection (`pieces`, `run`). Memory is bounded by a piece, whatever the length of a session.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias, TypeVar

from turnlog_api.exportcsv import CsvWriter, Delimiter
from turnlog_api.exportjson import JsonWriter
from turnlog_api.exportmarkdown import MarkdownWriter
from turnlog_api.exportqueries import (
    EventsPiece,
    ExportedSession,
    Piece,
    SessionsPiece,
    TurnsPiece,
    export_events,
    export_session,
    export_sessions,
    export_turns,
)
from turnlog_api.queries import Filters, Query
from turnlog_api.scope import Scope
from turnlog_schemas import times
from turnlog_schemas.errors import TurnlogError
from turnlog_schemas.exportlines import ExportLine, make_line

T = TypeVar("T")

Format = Literal["jsonl", "json", "csv", "md"]

MEDIA_TYPES: dict[str, str] = {
    "jsonl": "application/jsonl",
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "md": "text/markdown; charset=utf-8",
}

LARGE = Piece(1000, 4 * 1024 * 1024)
"""For a process that does nothing else."""

SMALL = Piece(200, 1024 * 1024)
"""For the server: it turns so many into text while other requests wait."""

_SESSIONS_AT_ONCE = 500


class ExportOptions(NamedTuple):
    """What a file looks like. JSON lines hold the log itself, and so everything; the rest is for
    the other formats."""

    format: Format
    branches: Literal["shown", "all"] = "shown"
    annotations: bool = False
    """Show them in csv and md; json has them always."""
    delimiter: Delimiter = "comma"
    """Of csv."""
    whole_cells: bool = False
    """Do not cut the cells of csv to what spreadsheets can hold."""


class Chosen(NamedTuple):
    """Which sessions: those with these ids, else those that a list with the filters shows."""

    filters: Filters = Filters()
    session_ids: tuple[str, ...] = ()


class Output(NamedTuple):
    """A piece of the file."""

    data: bytes = b""
    session_id: str = ""
    """The session that it is of."""
    items: int = 0
    """Turns, or events, in it."""
    sessions: int = 0
    """1 with the end of a session."""
    missing: int = 0
    """1: there is no such session, or the reader may not see it."""


class SessionGone(TurnlogError):
    """A session was erased, or hidden from its reader, while it was exported."""


class TurnWriter(Protocol):
    """A format whose items are turns. All bytes of a file come from one object, in order."""

    def begin(self) -> bytes: ...

    def session(self, body: bytes) -> bytes:
        """The head of a session, whose item is given."""
        ...

    def turns(self, bodies: list[bytes]) -> bytes:
        """Turns of it, whose items are given."""
        ...

    def end_session(self) -> bytes: ...

    def end(self) -> bytes: ...


Steps: TypeAlias = Generator[Query[Any] | Output, Any, None]


def export(scope: Scope, chosen: Chosen, options: ExportOptions, piece: Piece) -> Steps:
    """The whole file: the sessions that the reader may see, one after another."""
    if options.format == "jsonl":
        yield from _each(scope, chosen, lambda session: _events(scope, session, piece))
        return
    writer = turn_writer(options)

    def one(session: ExportedSession) -> Steps:
        return _turns(scope, session, options, writer, piece)

    yield Output(writer.begin())
    yield from _each(scope, chosen, one)
    yield Output(writer.end())


def turn_writer(options: ExportOptions) -> TurnWriter:
    """The writer of a format that is made of turns."""
    if options.format == "json":
        return JsonWriter()
    if options.format == "csv":
        return CsvWriter(
            delimiter=options.delimiter,
            annotations=options.annotations,
            whole_cells=options.whole_cells,
        )
    return MarkdownWriter(annotations=options.annotations)


def file_name(options: ExportOptions, name: str) -> str:
    """A name that is safe in every file system: `name` holds characters of ids alone, and may be
    what some systems keep for themselves."""
    return f"turnlog-{name}.{options.format}"


async def pieces(
    steps: Steps, ask: Callable[[Query[Any]], Awaitable[Any]]
) -> AsyncGenerator[Output]:
    """The pieces of a file, asking without blocking."""
    answer: Any = None
    while True:
        try:
            wanted = steps.send(answer)
        except StopIteration:
            return
        answer = None
        if isinstance(wanted, Output):
            yield wanted
        else:
            answer = await ask(wanted)


def run(steps: Steps, ask: Callable[[Query[Any]], Any]) -> Iterator[Output]:
    """The same, blocking."""
    answer: Any = None
    while True:
        try:
            wanted = steps.send(answer)
        except StopIteration:
            return
        answer = None
        if isinstance(wanted, Output):
            yield wanted
        else:
            answer = ask(wanted)


def _each(scope: Scope, chosen: Chosen, one: Callable[[ExportedSession], Steps]) -> Steps:
    for session_id in chosen.session_ids:
        named: ExportedSession | None = yield export_session(scope, session_id)
        if named is None:
            yield Output(session_id=session_id, missing=1)
        else:
            yield from one(named)
    if chosen.session_ids:
        return
    last: tuple[str, str] | None = None
    while True:
        found: SessionsPiece = yield export_sessions(scope, chosen.filters, last, _SESSIONS_AT_ONCE)
        for session in found.sessions:
            yield from one(session)
        last = found.last
        if last is None:
            return


def _turns(
    scope: Scope,
    session: ExportedSession,
    options: ExportOptions,
    writer: TurnWriter,
    piece: Piece,
) -> Steps:
    session_id = session.session_id
    if options.branches == "all":
        session = session._replace(path=None)
    elif session.branches > 1 and session.path is None:  # a list of sessions does not tell it
        again: ExportedSession | None = yield export_session(scope, session_id)
        if again is None:
            return
        session = again
    elif session.branches <= 1:
        session = session._replace(path=None)
    yield Output(writer.session(session.body), session_id)
    after = 0
    while True:
        found: TurnsPiece | None = yield export_turns(scope, session, after, piece)
        if found is None:
            raise _gone(session_id)
        if found.bodies:
            after = found.seqs[-1]
            yield Output(writer.turns(found.bodies), session_id, len(found.bodies))
        if not found.more:
            break
    yield Output(writer.end_session(), session_id, sessions=1)


def _events(scope: Scope, session: ExportedSession, piece: Piece) -> Steps:
    session_id = session.session_id
    first = 1
    while True:
        found: EventsPiece | None = yield export_events(scope, session, first, piece)
        if found is None:
            raise _gone(session_id)
        if not found.events:
            break
        lines: list[bytes] = []
        for stored, repeat_of in found.events:
            line = ExportLine(
                *(session_id, stored.seq, stored.event_id, times.from_ms(stored.recorded_at)),
                *(stored.raw, repeat_of, stored.seq in found.skipped),
            )
            folded = stored.seq <= found.folded_seq and not line.skipped
            lines.append(make_line(line, folded=folded))
        first = found.events[-1].seq + 1
        yield Output(b"".join(lines), session_id, len(lines))
        if len(lines) < piece.items and first > session.seq:
            break
    yield Output(b"", session_id, sessions=1)


def _gone(session_id: str) -> SessionGone:
    return SessionGone(f"session {session_id} was erased, or hidden, while it was exported")
