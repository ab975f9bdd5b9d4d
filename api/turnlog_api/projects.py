"""The question behind the list of projects."""

from psycopg.types.numeric import Int8

from turnlog_api.queries import Query, scoped
from turnlog_api.rows import Rows
from turnlog_api.scope import Scope


def projects_page(
    scope: Scope, *, user_id: str | None, archived: bool | None, limit: int, last: str | None
) -> Query[tuple[bytes, str | None]]:
    """Projects by name, behind the name `last`: a JSON list without its brackets, and the name of
    the last one when more follow."""
    wanted = {"user_id": user_id, "archived": archived, "last": last}
    filters = {name: value for name, value in wanted.items() if value is not None}

    def read(rows: Rows) -> tuple[bytes, str | None]:
        if rows.raw(0, 1) is None:
            return b"", None
        following = rows.text(limit - 1, 1) if rows.count > limit else None
        return rows.joined(2, limit=limit), following

    return scoped("projects_page", scope, frozenset(filters), read, limit=Int8(limit), **filters)
