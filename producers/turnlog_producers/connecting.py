"""What both clients do about their connections."""

import random
from typing import Any

from redis.connection import ConnectionPool
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


def check_url(url: str) -> str:
    """The URL, when a connection can be made of it; nothing is connected. Raises `Misconfigured`
    with one line that does not quote the URL: it may hold a password."""
    try:
        ConnectionPool.from_url(url, **OPTIONS).make_connection()
    except TypeError:
        reason = "it has a parameter that no connection takes"
    except (ValueError, RedisError) as error:
        reason = (
            str(error).splitlines()[0].rstrip(".") if _is_general(error) else "it cannot be read"
        )
    else:
        return url
    raise Misconfigured(
        f"the address of Redis is wrong: {reason}; give one such as redis://localhost:6379/0, with "
        "/ and @ of a password as %2F and %40"
    )


def _is_general(error: Exception) -> bool:
    """Whether the text holds nothing of the URL."""
    return "://" in str(error) or str(error).startswith("Invalid value for ")


def pause_s(failures: int) -> float:
    """How long to wait after so many failures in a row: doubling, with jitter, so that clients do
    not come back all at once."""
    longest = min(_SHORTEST_PAUSE_S * 2.0**failures, _LONGEST_PAUSE_S)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311
