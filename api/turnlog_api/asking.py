"""One statement in one round trip, together with who asks it.

Postgres' policies (sql/generation_guard.sql of the projector) show a statement nothing until its
transaction says who reads. That, and the statement itself, go out as one pipeline: the transaction
lasts until its end, and what was said of the reader ends with it.

psycopg's own pipelines wait several times for one of them; by themselves the calls of libpq cost
less than a plain `execute`.
"""

import re
from collections import OrderedDict
from collections.abc import Generator, Mapping
from functools import lru_cache
from typing import Any, LiteralString, NamedTuple, cast

import psycopg
from psycopg import pq
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result
from psycopg.generators import fetch_many, send
from psycopg.pq.abc import PGresult
from psycopg.rows import TupleRow

from turnlog_api.rows import Rows
from turnlog_api.scope import Scope
from turnlog_api.statements import sql

_MAX_PREPARED = 100
_PLACE = re.compile(r"%(?:%|\((\w+)\)s)")
_NAME = b"turnlog_%d"

_Key = tuple[str, tuple[int, ...]]
_Wait = Generator[Any, Any, PGresult]


class Pooled(psycopg.AsyncConnection[TupleRow]):
    """A connection that knows which statements it has prepared."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.prepared: OrderedDict[_Key, bytes] = OrderedDict()
        self.prepared_so_far = 0


async def ask(
    connection: Pooled,
    text: LiteralString,
    params: Mapping[str, Any] | None = None,
    scope: Scope | None = None,
) -> Rows:
    """The rows of one statement, in a transaction of its own, as the reader that `scope` describes;
    without one it sees nothing that belongs to a tenant.

    Raises psycopg's errors. When it is cancelled half-way, the pool closes the connection.
    """
    return Rows(await connection.wait(_exchange(connection, text, params, scope)))


async def begin(connection: Pooled, scope: Scope) -> None:
    """Open a REPEATABLE READ transaction that reads as `scope` describes until it ends."""
    await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    await connection.execute(sql("read_as", 0), scope.settings())


async def end(connection: Pooled) -> None:
    """End a transaction that `begin` has opened. By COMMIT: after a ROLLBACK psycopg throws away
    all that is prepared on the connection, ours as well. One that has failed is closed for that."""
    if connection.info.transaction_status == pq.TransactionStatus.INTRANS:
        await connection.execute("COMMIT")
    else:
        await connection.close()


class _Command(NamedTuple):
    """A statement with its values, ready to send; `key` names it among the prepared ones."""

    text: bytes
    key: _Key
    values: list[Any]
    types: tuple[int, ...]
    formats: list[Any] | None


def _exchange(
    connection: Pooled,
    text: LiteralString,
    params: Mapping[str, Any] | None,
    scope: Scope | None,
) -> _Wait:
    commands: list[_Command] = []
    if scope is not None:
        named = params.get("session_id", "") if params else ""
        commands.append(_read_as(scope.settings(named)))
    commands.append(_command(connection, text, params))
    connected = connection.pgconn
    connected.enter_pipeline_mode()
    try:
        answers = _Answers(connection)
        for command in commands:
            answers.send(command)
        connected.pipeline_sync()
        yield from send(connected)
        result = yield from answers.fetch()
    finally:
        if connected.status == pq.ConnStatus.OK:
            _leave_pipeline(connected)
    if result.status == pq.ExecStatus.FATAL_ERROR:
        raise error_from_result(result)
    return result


def _leave_pipeline(connected: pq.abc.PGconn) -> None:
    try:
        connected.exit_pipeline_mode()
    except psycopg.OperationalError:
        connected.finish()  # answers are still on their way: the connection is of no use any more
        raise


class _Answers:
    """What is sent over a connection within one pipeline, and what comes back for it."""

    def __init__(self, connection: Pooled) -> None:
        self._connection = connection
        self._sent: list[_Key | None] = []
        """One for each answer to come; a key: when it is good, the statement is prepared."""

    def send(self, command: _Command) -> None:
        connection = self._connection
        connected = connection.pgconn
        name = connection.prepared.get(command.key)
        if name is None:
            if len(connection.prepared) >= _MAX_PREPARED:
                _, oldest = connection.prepared.popitem(last=False)
                connected.send_query_params(b"DEALLOCATE " + oldest, None)
                self._sent.append(None)
            connection.prepared_so_far += 1
            name = _NAME % connection.prepared_so_far
            connected.send_prepare(name, command.text, command.types)
            self._sent.append(command.key)
            connection.prepared[command.key] = name
        else:
            connection.prepared.move_to_end(command.key)
        connected.send_query_prepared(name, command.values, command.formats)
        self._sent.append(None)

    def fetch(self) -> _Wait:
        """The last answer, or the first one that is an error."""
        connection = self._connection
        last: PGresult | None = None
        failed: PGresult | None = None
        for key in self._sent:
            last = (yield from fetch_many(connection.pgconn))[0]
            if last.status in (pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.PIPELINE_ABORTED):
                failed = failed or last
                if key is not None:
                    del connection.prepared[key]
        yield from fetch_many(connection.pgconn)  # the end of the pipeline
        assert last is not None, "something was sent"
        return failed or last


def _read_as(reader: dict[str, str]) -> _Command:
    """The same as `_command` makes of it, without looking at types: all values are text."""
    text = sql("read_as", 0)
    numbered, names = _numbered(text)
    return _Command(numbered, (text, ()), [reader[name].encode() for name in names], (), None)


def _command(connection: Pooled, text: str, params: Mapping[str, Any] | None) -> _Command:
    numbered, names = _numbered(text)
    if not names or params is None:
        return _Command(numbered, (text, ()), [], (), None)
    transformer = Transformer(connection)
    given = [params[name] for name in names]
    values = list(transformer.dump_sequence(given, [PyFormat.AUTO] * len(given)))
    types = tuple(transformer.types or ())
    return _Command(numbered, (text, types), values, types, list(transformer.formats or ()))


@lru_cache(maxsize=1024)
def _numbered(text: str) -> tuple[bytes, tuple[str, ...]]:
    """The statement with numbered places, and the names of the parameters that belong there."""
    names: list[str] = []

    def number(found: re.Match[str]) -> str:
        name = cast(str | None, found[1])
        if name is None:
            return "%"
        if name not in names:
            names.append(name)
        return f"${names.index(name) + 1}"

    return _PLACE.sub(number, text).encode(), tuple(names)
