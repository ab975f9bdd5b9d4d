"""The question behind the statistics."""

from collections.abc import Mapping
from typing import NamedTuple, cast

from pydantic_core import from_json, to_json

from turnlog_api.days import Days
from turnlog_api.queries import Query
from turnlog_api.rows import Rows
from turnlog_api.scope import Scope


class StatsFilters(NamedTuple):
    """Of which sessions; None does not filter."""

    user_id: str | None = None
    project: str | None = None
    session_id: str | None = None


class Stats(NamedTuple):
    """A JSON object, and up to where in the index each partition was projected when it was made."""

    body: bytes
    offsets: Mapping[int, int]


def stats(scope: Scope, days: Days, filters: StatsFilters) -> Query[Stats]:
    """What happened on these days in the sessions that the reader may see (docs/stats.md tells what
    counts)."""

    def read(rows: Rows) -> Stats:
        made = cast(bytes, rows.raw(0, 1))  # a scope always says who reads
        asked = b'{"since":%b,"until":%b,"tz":%b,' % tuple(
            map(to_json, (days.since, days.until, days.zone))
        )
        offsets: dict[str, int] = from_json(rows.raw(0, 2) or b"{}")
        return Stats(asked + made + b"}", {int(key): n for key, n in offsets.items()})

    params = {
        "starts": days.starts,
        "ends": days.until,
        "days": days.names,
        "user_id": filters.user_id,
        "project": filters.project,
        "in_session": filters.session_id,
    }
    return Query("stats", frozenset(), params, read, scope)
