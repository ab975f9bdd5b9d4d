"""Errors of every part of Turnlog, as problems."""

import psycopg
from starlette.exceptions import HTTPException

from turnlog_api.problems import Problem, no_session
from turnlog_producers.errors import (
    Conflict,
    LogDamaged,
    Misconfigured,
    NotOwner,
    SessionErased,
    TooLarge,
    Unavailable,
)
from turnlog_projector.errors import NotReady, ServerUnavailable, UnsafeServer, WrongLog
from turnlog_schemas.errors import InvalidEvent


def as_problem(error: Exception) -> Problem | None:
    """The problem that tells the caller what to do; None for a fault of our own."""
    match error:
        case Problem():
            return error
        case TooLarge():
            return Problem("too-large", str(error))
        case InvalidEvent():
            return Problem("invalid", str(error))
        case NotOwner():
            return no_session()
        case SessionErased():
            return Problem("not-found", "the session was erased for good")
        case Conflict():
            return Problem(
                "precondition-failed",
                f"If-Match names seq {error.expected}; the session is at {error.actual}",
                expected=error.expected,
                actual=error.actual,
            )
        case Unavailable():
            return Problem(
                "redis-unavailable", "Redis does not answer: send the identical request again"
            )
        case LogDamaged():
            return Problem(
                "log-damaged", "the session's stream is being repaired: send the request again"
            )
        case NotReady() | WrongLog() | UnsafeServer() | Misconfigured():
            return Problem("not-ready", "the servers are not set up; see /readyz")
        case ServerUnavailable() | psycopg.OperationalError():
            return Problem("postgres-unavailable", "Postgres does not answer: ask again")
        case psycopg.DataError():
            return Problem("invalid", "a value in the request cannot be compared with stored ones")
        case HTTPException():
            return _routing(error)
        case _:
            return None


def _routing(error: HTTPException) -> Problem:
    if error.status_code == 405:
        return Problem(
            "method-not-allowed", "see Allow for the methods it takes", headers=error.headers
        )
    if error.status_code == 404:
        return Problem("not-found", "no such address; /openapi.json lists them")
    return Problem("bad-request", "the request cannot be read", headers=error.headers)
