"""Rows in Postgres' COPY text format, for bulk loading."""

from collections.abc import Iterable
from typing import Any

from turnlog_projector.tables import Row

_SPECIAL = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def copy_lines(rows: Iterable[Row]) -> bytes:
    """The rows, a line each."""
    return "".join(["\t".join([_text(value) for value in row]) + "\n" for row in rows]).encode()


def _text(value: Any) -> str:
    if type(value) is str:
        if "\\" in value or not value.isprintable():
            return value.translate(_SPECIAL)
        return value
    if value is None:
        return "\\N"
    if value is True:
        return "t"
    if value is False:
        return "f"
    return str(value)
