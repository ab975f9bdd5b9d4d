"""What Redis' errors mean: redis-py's exceptions and error replies as Turnlog's errors."""

import os
import re
from collections.abc import Sequence

from redis.exceptions import (
    AuthenticationError,
    AuthenticationWrongNumberOfArgsError,
    AuthorizationError,
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import TimeoutError as RedisTimeoutError

from turnlog_producers.core import Call, Event
from turnlog_producers.errors import (
    Conflict,
    LogDamaged,
    Misconfigured,
    NotOwner,
    SessionErased,
    Unavailable,
)
from turnlog_schemas.errors import TurnlogError

# A script's error may carry the code of the command that failed in the middle of its text
# ("ERR Error running script ...: -OOM command not allowed", Redis 6.2).
_CODE = re.compile(
    r"(?:^|[\s-])(ERASED|NOT_OWNER|CONFLICT|LOST|NOSCRIPT|LOADING|READONLY|OOM|MISCONF|BUSY"
    r"|NOAUTH|WRONGPASS|NOPERM|CLUSTERDOWN|MASTERDOWN|TRYAGAIN|NOREPLICAS|WRONGTYPE)(?=\s|$)"
)

_ERRNO = re.compile(r"Error (\d+) connecting to ")

_PASSING = {
    "NOSCRIPT": "does not know the append script",
    "LOADING": "is still loading its data",
    "READONLY": "is a read-only replica: give the address of the primary",
    "BUSY": "is busy with a slow script",
    "CLUSTERDOWN": "says that its cluster is down",
    "MASTERDOWN": "says that its primary is down",
    "TRYAGAIN": "is moving the session to another node",
}
"""What usually is over soon: the clients send again by themselves."""

_LASTING = {
    "OOM": "is out of memory (maxmemory): free or add some",
    "MISCONF": "cannot write to its disk: make room and look at its log",
    "NOREPLICAS": "has too few replicas to accept writes",
}
"""What an operator has to end: the clients report it at once."""

_REFUSED = {
    "NOAUTH": "wants a password: put it in the URL",
    "WRONGPASS": "refuses this user name or password",
    "NOPERM": "does not allow this user to append: allow EVALSHA and the commands that it runs",
}


_CODES_OF_CLASSES: dict[type[Exception], str] = {
    NoScriptError: "NOSCRIPT",
    BusyLoadingError: "LOADING",
    ReadOnlyError: "READONLY",
    OutOfMemoryError: "OOM",
    AuthenticationError: "WRONGPASS",
    AuthenticationWrongNumberOfArgsError: "WRONGPASS",
    AuthorizationError: "WRONGPASS",
    NoPermissionError: "NOPERM",
    ClusterDownError: "CLUSTERDOWN",
    MasterDownError: "MASTERDOWN",
    TryAgainError: "TRYAGAIN",
}
"""redis-py cuts these codes off the text and raises a class of its own instead."""


def code_of(error: Exception) -> str:
    """The code of an error reply; '' when there is none that we know."""
    code = _CODES_OF_CLASSES.get(type(error))
    if code is None and isinstance(error, ResponseError):
        found = _CODE.search(str(error))
        code = found.group(1) if found else None
    return code or ""


def is_passing(error: Exception) -> bool:
    """Is it worth sending the same again soon, over a new connection if need be?"""
    code = code_of(error)
    if code or isinstance(error, ResponseError):
        return code in _PASSING
    return True


def explain(error: Exception, where: str, call: Call | None = None) -> TurnlogError:
    """The error to raise for a call that did not succeed.

    `where` names the server, without the password. The text never holds what people wrote.
    """
    code = code_of(error)
    if code in ("ERASED", "NOT_OWNER", "CONFLICT", "LOST") and call is not None:
        return _answer(code, str(error).split(), call)
    if code in _REFUSED:
        if code == "WRONGPASS" and str(error).startswith(("NOAUTH", "Authentication required")):
            code = "NOAUTH"
        return Misconfigured(f"Redis at {where} {_REFUSED[code]}")
    if code == "WRONGTYPE":
        return Misconfigured(f"Redis at {where} has other data under Turnlog's keys: use another")
    what = _PASSING.get(code) or _LASTING.get(code) or _lost(error)
    if call is None:
        return Unavailable(f"Redis at {where} {what}")
    return Unavailable(
        f"Redis at {where} {what}. Whether it was written is unknown: {_resend(call.events)}",
        event_ids=tuple(event.event_id for event in call.events),
    )


def _answer(code: str, words: list[str], call: Call) -> TurnlogError:
    session = call.session_id
    if code == "ERASED":
        return SessionErased(f"session {session} is erased: it takes no event any more")
    if code == "NOT_OWNER":
        return NotOwner(f"session {session} does not belong to the user that the call acts for")
    if code == "CONFLICT":
        return Conflict(session, int(words[1]), int(words[2]))
    fault = f"its stream should hold {words[2]} events and holds {words[3]}"
    if words[2] == words[3]:
        fault = "somebody else has written to its stream"
    return LogDamaged(
        f"session {session}: {fault}. "
        "Nothing was written; resend when a projector has healed it, and find out what Redis lost"
    )


def _lost(error: Exception) -> str:
    """What happened to the connection, in one line."""
    if isinstance(error, RedisTimeoutError | TimeoutError):
        return "did not answer in time"
    text = str(error) or type(error).__name__
    number = _ERRNO.match(text)
    if number:
        return f"cannot be reached: {os.strerror(int(number.group(1))).lower()}"
    kind = "answered" if isinstance(error, ResponseError) else "cannot be reached"
    return f"{kind}: {' '.join(text.split())[:160]}"


def _resend(events: Sequence[Event]) -> str:
    if len(events) == 1:
        return f"resend the same call with event_id='{events[0].event_id}'"
    return "resend the same events"


TRANSPORT_ERRORS = (RedisError, OSError)
"""What redis-py raises when a server cannot be reached or refuses."""
