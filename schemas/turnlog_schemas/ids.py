"""Identifiers: their alphabet, how new ones are made and which partition they fall into."""

import hashlib
import os
import re
import time
from zlib import crc32

from turnlog_schemas.errors import InvalidEvent

ID_PATTERN = r"^[A-Za-z0-9._~-]{1,128}$"
"""Tenants, sessions, turns and events: what a URL path segment and a Redis key carry unescaped."""

ID_RULE = "allowed are 1 to 128 of A-Z a-z 0-9 . _ ~ -"

MAX_TEXT_ID = 256
"""Longest `user_id` or `project`, in code points."""

DEFAULT_TENANT = "default"
DEFAULT_PARTITIONS = 64

_ID = re.compile(r"[A-Za-z0-9._~-]{1,128}")


def is_id(value: str) -> bool:
    """Whether it is a well-formed id."""
    return _ID.fullmatch(value) is not None


def check_id(value: str, what: str) -> str:
    """Return `value` when it is a well-formed id, else raise `InvalidEvent` naming `what`."""
    if not is_id(value):
        raise InvalidEvent(f"{what}: given {value[:60]!r}; {ID_RULE}")
    return value


def new_id() -> str:
    """A new UUIDv7 (RFC 9562, section 5.7): 48 bits of Unix milliseconds, then 74 random bits."""
    millis = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    return _uuid(millis, random, version=7)


def derived_id(*parts: str) -> str:
    """The same id for the same parts, anywhere: a UUIDv8 (RFC 9562, section 5.8) of their SHA-256.

    Parts are length-prefixed, so `("a", "bc")` and `("ab", "c")` differ.
    """
    digest = hashlib.sha256()
    for part in parts:
        raw = part.encode()
        digest.update(b"%d:" % len(raw))
        digest.update(raw)
    number = int.from_bytes(digest.digest()[:16], "big")
    return _uuid(number >> 80, number & ((1 << 80) - 1), version=8)


def _uuid(high48: int, low80: int, *, version: int) -> str:
    number = (high48 & ((1 << 48) - 1)) << 80
    number |= version << 76
    number |= (low80 >> 68 & 0xFFF) << 64
    number |= 0b10 << 62
    number |= low80 & ((1 << 62) - 1)
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def partition_of(tenant: str, session_id: str, partitions: int) -> int:
    """The partition of a session: CRC-32 of `tenant:session_id`, modulo the partition count."""
    return crc32(f"{tenant}:{session_id}".encode()) % partitions
