"""What both clients do about their connections."""

import random
from typing import Any

from redis.exceptions import RedisError

from turnlog_producers.errors import Misconfigured

_SHORTEST_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 1.0

# RESP2: the replies need no more, and a RESP3 server may push what nobody asked for.
OPTIONS: dict[str, Any] = {"decode_responses": False, "protocol": 2, "socket_keepalive": True}


def where(connection_options: dict[str, Any]) -> str:
    """The server that a pool connects to, for people: host and port or a path, no password."""
    path = connection_options.get("path")
    if path:
        return str(path)
    host = str(connection_options.get("host") or "localhost")
    return f"{host}:{connection_options.get('port') or 6379}"


def bad_url(error: ValueError | RedisError) -> Misconfigured:
    """For a URL that redis-py does not take. The URL itself may hold a password."""
    reason = str(error).splitlines()[0] if "://" in str(error) else "it cannot be read"
    return Misconfigured(
        f"the address of Redis is wrong: {reason}; give one such as redis://localhost:6379/0"
    )


def pause_s(failures: int) -> float:
    """How long to wait after so many failures in a row: doubling, with jitter, so that clients do
    not come back all at once."""
    longest = min(_SHORTEST_PAUSE_S * 2.0**failures, _LONGEST_PAUSE_S)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311
