"""What error replies of Redis mean, as its versions spell them."""

import pytest
from redis._parsers.base import BaseParser
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from turnlog_producers import (
    Conflict,
    LogDamaged,
    Misconfigured,
    NotOwner,
    SessionErased,
    TurnlogError,
    Unavailable,
)
from turnlog_producers.core import Call, build
from turnlog_producers.faults import explain, is_passing
from turnlog_producers.keys import Keys

_EVENT = build("session.cleared", {}, event_id="e-1")
_CALL = Call("s-1", Keys("acme", "s-1", 8), (_EVENT,))

# Reply, error, part of the text, worth sending again soon.
ANSWERS: list[tuple[str, type[TurnlogError], str, bool]] = [
    ("ERASED acme:s-1 is erased", SessionErased, "session s-1 is erased", False),
    ("NOT_OWNER acme:s-1 belongs to", NotOwner, "session s-1 does not belong", False),
    ("CONFLICT 4 7", Conflict, "session s-1: expected seq 4, it is at 7", False),
    ("LOST acme:s-1 9 3", LogDamaged, "should hold 9 events and holds 3", False),
    ("NOSCRIPT No matching script. Please use EVAL.", Unavailable, "append script", True),
    ("LOADING Redis is loading the dataset in memory", Unavailable, "still loading", True),
    ("READONLY You can't write against a read only replica.", Unavailable, "replica", True),
    ("BUSY Redis is busy running a script.", Unavailable, "busy with a slow script", True),
    ("CLUSTERDOWN The cluster is down", Unavailable, "cluster is down", True),
    ("MASTERDOWN Link with MASTER is down", Unavailable, "primary is down", True),
    ("TRYAGAIN Multiple keys request during rehashing", Unavailable, "moving", True),
    ("OOM command not allowed when used memory > 'maxmemory'.", Unavailable, "memory", False),
    (
        "ERR Error running script (call to f_1): @user_script:101: @user_script: 101: -OOM command "
        "not allowed when used memory > 'maxmemory'.",
        Unavailable,
        "out of memory",
        False,
    ),
    ("MISCONF Errors writing to the AOF file: No space left", Unavailable, "its disk", False),
    (
        "ERR Error running script (call to f_1): @user_script:101: @user_script: 101: -READONLY "
        "You can't write against a read only replica.",
        Unavailable,
        "read-only replica",
        True,
    ),
    ("NOREPLICAS Not enough good replicas to write.", Unavailable, "replicas", False),
    ("NOAUTH Authentication required.", Misconfigured, "wants a password", False),
    ("WRONGPASS invalid username-password pair", Misconfigured, "user name or password", False),
    ("NOPERM this user has no permissions", Misconfigured, "allow EVALSHA", False),
    ("WRONGTYPE Operation against a key", Misconfigured, "other data", False),
    ("ERR something else", Unavailable, "answered: something else", False),
]


@pytest.mark.parametrize(
    ("reply", "kind", "text", "passing"), ANSWERS, ids=[answer[0][:40] for answer in ANSWERS]
)
def test_error_reply(reply: str, kind: type[TurnlogError], text: str, passing: bool) -> None:
    error = BaseParser.parse_error(reply)
    found = explain(error, "db.example:6379", _CALL)
    assert type(found) is kind
    assert text in str(found)
    assert "\n" not in str(found)
    assert is_passing(error) is passing
    if kind is Unavailable:
        assert "Redis at db.example:6379 " in str(found)
        assert "resend the same call with event_id='e-1'" in str(found)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (RedisTimeoutError("Timeout reading from socket"), "did not answer in time"),
        (TimeoutError(), "did not answer in time"),
        (RedisConnectionError("Connection closed by server."), "cannot be reached: Connection cl"),
        (RedisConnectionError("Error 111 connecting to h:1. x"), "reached: connection refused"),
        (ConnectionResetError(104, "Connection reset by peer"), "Connection reset by peer"),
    ],
)
def test_lost_connection(error: Exception, text: str) -> None:
    found = explain(error, "db.example:6379")
    assert type(found) is Unavailable
    assert text in str(found)
    assert is_passing(error)
