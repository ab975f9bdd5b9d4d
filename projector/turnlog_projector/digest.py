"""Digests of read models: the same for the same log, whoever folded it, whenever and in what order.

The digest of a session is BLAKE2b with 16 bytes over the rows of all its read models as `lines`
has them, read model by read model, each in the order of its key. The digest of a generation is
the sum of those of its sessions mod 2^128, so it does not depend on the order of the sessions. A
session without rows adds nothing.
"""

from hashlib import blake2b

from turnlog_projector.lines import TABLES, Lines

_SIZE = 16
_MODULUS = 1 << (8 * _SIZE)
_HEADS = {table: table.encode() + b"\n" for table in TABLES}


class SessionDigest:
    """Takes the lines of a session piece by piece, for one that is not held in memory whole: read
    models in the order of `TABLES`, lines in the order of their key."""

    def __init__(self) -> None:
        self._hash = blake2b(digest_size=_SIZE)
        self._table = ""
        self._empty = True

    def add(self, table: str, lines: bytes) -> None:
        if not lines:
            return
        if table != self._table:
            self._hash.update(_HEADS[table])
            self._table = table
        self._hash.update(lines)
        self._empty = False

    def value(self) -> int:
        return 0 if self._empty else int.from_bytes(self._hash.digest(), "big")


def session_digest(lines: Lines) -> int:
    """The digest of a session from all its rows, read models in the order of `TABLES`; 0 when it
    has none."""
    parts = [_HEADS[table] + some for table, some in lines.items() if some]
    if not parts:
        return 0
    return int.from_bytes(blake2b(b"".join(parts), digest_size=_SIZE).digest(), "big")


def added(*digests: int) -> int:
    """The digest of several sessions, or of several parts of a generation."""
    return sum(digests) % _MODULUS


def written(digest: int) -> str:
    """A digest for people: 32 hexadecimal digits."""
    return f"{digest:0{2 * _SIZE}x}"
