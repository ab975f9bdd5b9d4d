"""What can be asked of the read models. Every question is one statement, whose answer holds the
JSON of the read models as ready bytes.

A `Query` says what to ask and how to read the answer; it is asked by `fetch` here over a plain
connection, or by `reading.Reader` over the API's pool. Both read the generation that is active:
each statement answers with the number of the generation that its snapshot had as the active one,
and is asked again of that one when it was made for another.
"""

from collections.abc import Callable, Mapping
from typing import Any, Generic, NamedTuple, Protocol, TypeVar, cast

import psycopg
from psycopg.types.numeric import Int8

from turnlog_api.rows import Rows
from turnlog_api.scope import Scope
from turnlog_api.statements import sql
from turnlog_projector.errors import NotReady
from turnlog_projector.generations import NoSuchGeneration
from turnlog_schemas import times
from turnlog_schemas.rows import LAST_SEQ

T = TypeVar("T")

MAX_LIMIT = 1000
DEFAULT_LIMIT = 100
MOVED = (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName)
"""What a statement meets whose generation was dropped, or a database without our schema."""


class Query(NamedTuple, Generic[T]):
    """A statement of sql/, with its parts and parameters, and what its rows mean. There is always
    one; its first column is the generation that was active. Without a scope Postgres shows it
    nothing that belongs to a tenant."""

    name: str
    parts: frozenset[str]
    params: Mapping[str, Any]
    read: Callable[[Rows], T]
    scope: Scope | None = None


class OnSession(Protocol):
    """An answer about a session after event `seq`, whose id is `event_id`."""

    @property
    def seq(self) -> int: ...

    @property
    def event_id(self) -> str: ...


class SessionAnswer(NamedTuple):
    """A session after event `seq`, whose id is `event_id`."""

    seq: int
    event_id: str
    body: bytes


class SessionsPage(NamedTuple):
    """`items` is a JSON list without its brackets. `last` is the key of the last one (updated_at,
    session_id) when more follow."""

    items: bytes
    last: tuple[str, str] | None


class TurnsPage(NamedTuple):
    """A page of a session after event `seq`. `items` is a JSON list without its brackets;
    `total_count` counts all visible turns of the branch; `last_seq` is that of the last item when
    more follow. `branch_found` is False when the branch that was named does not exist."""

    seq: int
    event_id: str
    items: bytes
    total_count: int
    last_seq: int | None
    branch_found: bool = True


class Filters(NamedTuple):
    """Which sessions to list; None does not filter. `since` <= updated_at < `until`."""

    user_id: str | None = None
    project: str | None = None
    archived: bool | None = None
    since: str | None = None
    until: str | None = None


class Window(NamedTuple):
    """Which turns: those with `after` < seq < `before`, from the first or from the last one."""

    after: int = 0
    before: int = LAST_SEQ
    descending: bool = False
    limit: int = DEFAULT_LIMIT
    retracted: bool = False
    """Show stubs of retracted turns."""
    branch: str | None = None
    """None: the branch that is shown."""


def session(scope: Scope, session_id: str) -> Query[SessionAnswer | None]:
    """One session; None when there is none that the caller may read."""

    def read(rows: Rows) -> SessionAnswer | None:
        seq, event_id, body = rows.number(0, 1), rows.text(0, 2), rows.raw(0, 3)
        if seq is None or event_id is None or body is None:
            return None
        return SessionAnswer(seq, event_id, body)

    return Query("session", _parts(scope), _params(scope, session_id=session_id), read, scope)


def turn_known(scope: Scope, session_id: str, turn_id: str) -> Query[tuple[int, str | None]]:
    """How far a session that the caller may read is projected (0: there is none), and the status of
    a turn that it has by then."""

    def read(rows: Rows) -> tuple[int, str | None]:
        return rows.number(0, 1) or 0, rows.text(0, 2)

    params = _params(scope, session_id=session_id, turn_id=turn_id)
    return Query("turn_known", _parts(scope), params, read, scope)


def sessions_page(
    scope: Scope,
    filters: Filters = Filters(),  # noqa: B008 - immutable
    *,
    limit: int = DEFAULT_LIMIT,
    last: tuple[str, str] | None = None,
) -> Query[SessionsPage]:
    """Sessions that are not deleted, the newest `updated_at` first, behind the key `last`."""
    given = {name: value for name, value in filters._asdict().items() if value is not None}
    if last is not None:
        given["last_time"], given["last_id"] = last
    parts = _parts(scope).union(given)
    if scope.user_id is not None and filters.user_id is None:
        parts |= {"own_and_shared"}

    def read(rows: Rows) -> SessionsPage:
        if rows.raw(0, 3) is None:
            return SessionsPage(b"", None)
        following = None
        if rows.count > limit:
            updated_at, session_id = rows.text(limit - 1, 1), rows.text(limit - 1, 2)
            following = (times.normalise(cast(str, updated_at)), cast(str, session_id))
        return SessionsPage(rows.joined(3, limit=limit), following)

    return Query("sessions_page", parts, _params(scope, limit=Int8(limit), **given), read, scope)


def turns_page(scope: Scope, session_id: str, window: Window) -> Query["TurnsPage | None"]:
    """Turns of a session with one branch; None when there is no session that the caller may read.

    Reading the answer raises `HasBranches` when the session has several: ask `branch_page`.
    """

    def read(rows: Rows) -> TurnsPage | None:
        seq, event_id = rows.number(0, 1), rows.text(0, 2)
        if seq is None or event_id is None:
            return None
        if (rows.number(0, 3) or 0) > 1:
            raise HasBranches
        last_seq = rows.number(0, 6) if rows.raw(0, 7) == b"t" else None
        return TurnsPage(seq, event_id, rows.raw(0, 5) or b"", rows.number(0, 4) or 0, last_seq)

    if window.branch is not None:
        return branch_page(scope, session_id, window)
    params = _window(scope, session_id, window)
    return Query("turns_page", _window_parts(scope, window), params, read, scope)


def branch_page(scope: Scope, session_id: str, window: Window) -> Query["TurnsPage | None"]:
    """Turns of one branch of a session; None when there is no session that the caller may read."""

    def read(rows: Rows) -> TurnsPage | None:
        seq, event_id = rows.number(0, 1), rows.text(0, 2)
        if seq is None or event_id is None:
            return None
        found = rows.raw(0, 3) is not None or window.branch is None
        limit = window.limit
        items = b"" if rows.raw(0, 6) is None else rows.joined(6, limit=limit)
        last_seq = rows.number(limit - 1, 5) if rows.count > limit else None
        return TurnsPage(seq, event_id, items, rows.number(0, 4) or 0, last_seq, found)

    parts = _window_parts(scope, window) | {"shown" if window.branch is None else "branch"}
    params = _window(scope, session_id, window)
    if window.branch is not None:
        params["branch"] = window.branch
    return Query("turns_page_branch", parts, params, read, scope)


def scoped(
    name: str,
    scope: Scope,
    parts: frozenset[str],
    read: Callable[[Rows], T],
    **params: Any,
) -> Query[T]:
    """A question about what the caller may read, whose statement includes seen.sql."""
    return Query(name, _parts(scope) | parts, _params(scope, **params), read, scope)


class HasBranches(Exception):
    """The session has several branches: ask `branch_page`."""


def _parts(scope: Scope) -> frozenset[str]:
    return frozenset() if scope.user_id is None else frozenset({"user"})


def _params(scope: Scope, **more: Any) -> dict[str, Any]:
    params: dict[str, Any] = {"tenant": scope.tenant, **more}
    if scope.user_id is not None:
        params["user"] = scope.user_id
    return params


def _window_parts(scope: Scope, window: Window) -> frozenset[str]:
    parts = {"desc" if window.descending else "asc"}
    if not window.retracted:
        parts.add("visible")
    return _parts(scope) | parts


def _window(scope: Scope, session_id: str, window: Window) -> dict[str, Any]:
    return _params(
        scope,
        session_id=session_id,
        after=Int8(window.after),
        before=Int8(window.before),
        limit=Int8(window.limit),
    )


def fetch(
    connection: psycopg.Connection[Any], query: Query[T], *, generation: int | None = None
) -> T:
    """Ask over a plain connection, of the generation that is read unless another one is given.

    Raises `NotReady` when the database has no schema of ours, and `NoSuchGeneration`.
    """
    if generation is not None:
        try:
            result = connection.execute(sql(query.name, generation, query.parts), query.params)
        except MOVED:
            raise NoSuchGeneration(f"generation {generation} is gone") from None
        assert result.pgresult is not None, "a statement that reads has a result"
        return query.read(Rows(result.pgresult))
    generation = active_generation(connection)
    while True:
        text = sql(query.name, generation, query.parts)
        rows: Rows | None = None
        try:
            result = connection.execute(text, query.params).pgresult
            rows = Rows(result) if result is not None else None
        except MOVED:
            rows = None
        if rows is not None and rows.count and rows.number(0, 0) == generation:
            return query.read(rows)
        generation = active_generation(connection)


def fetch_turns(
    connection: psycopg.Connection[Any],
    scope: Scope,
    session_id: str,
    window: Window,
    *,
    generation: int | None = None,
) -> TurnsPage | None:
    """A page of turns, whether the session has branches or not."""
    try:
        return fetch(connection, turns_page(scope, session_id, window), generation=generation)
    except HasBranches:
        return fetch(connection, branch_page(scope, session_id, window), generation=generation)


def active_generation(connection: psycopg.Connection[Any]) -> int:
    """The number of the generation that is read."""
    try:
        row = connection.execute(sql("active", 0)).fetchone()
    except MOVED:
        row = None
    if row is None:
        raise NotReady("the database has no Turnlog schema: run `turnlog init`")
    return row[0]
