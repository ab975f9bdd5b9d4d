"""The rows of an answer as Postgres sends them.

The drivers' way, a Python value for every column of every row, would decode the ready JSON to text
and have it encoded again: that takes as long as the query itself. Here bytes stay bytes.
"""

from typing import cast

from psycopg.pq.abc import PGresult


class Rows:
    """Rows in Postgres' text format. NULL is None."""

    __slots__ = ("_result", "count")

    def __init__(self, result: PGresult) -> None:
        self._result = result
        self.count = result.ntuples

    def raw(self, row: int, column: int) -> bytes | None:
        return self._result.get_value(row, column)

    def text(self, row: int, column: int) -> str | None:
        value = self._result.get_value(row, column)
        return None if value is None else value.decode()

    def number(self, row: int, column: int) -> int | None:
        value = self._result.get_value(row, column)
        return None if value is None else int(value)

    def joined(self, column: int, *, limit: int) -> bytes:
        """The JSON values of a column, at most `limit` of them, with commas between."""
        get = self._result.get_value
        count = min(self.count, limit)
        return b",".join([cast(bytes, get(row, column)) for row in range(count)])
