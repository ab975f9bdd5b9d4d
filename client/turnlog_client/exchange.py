"""Sending a request until it is answered, without any I/O: what to do next, step by step.

Both clients carry out the same steps and report what came of each.
"""

import random
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import httpx

from turnlog_client.errors import ApiError, InvalidRequest, Unavailable, from_answer
from turnlog_client.requests import Reply, Request
from turnlog_client.settings import ClientSettings

_SHORTEST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0
_JSON = "application/json"


class Attempt(NamedTuple):
    """Send the request. Wanted: the `Reply`, or the `Failure`."""

    request: Request
    token: str | None
    timeout_s: float


class Pause(NamedTuple):
    """Wait. Wanted: None."""

    seconds: float


class TokenWanted(NamedTuple):
    """Get the token. Wanted: it, or None when the client has none."""

    rejected: str | None
    """One that the API has refused: only another one will do."""


class Failure(NamedTuple):
    """There was no answer."""

    reason: str
    passing: bool
    """It may work a little later."""


Step = Attempt | Pause | TokenWanted
Exchange = Generator[Step, Any, Reply]


def exchange(request: Request, settings: ClientSettings, clock: Callable[[], float]) -> Exchange:
    """The steps that lead to the reply. Raises an `ApiError`."""
    give_up = clock() + settings.budget_s
    token: str | None = yield TokenWanted(None)
    renewed = token is None
    failures = 0
    while True:
        timeout_s = settings.timeout_s
        if settings.budget_s:
            timeout_s = max(min(timeout_s, give_up - clock()), 0.001)
        outcome: Reply | Failure = yield Attempt(request, token, timeout_s)
        error = _error(request, outcome, again=failures > 0)
        if error is None:
            assert isinstance(outcome, Reply)
            return outcome
        if error.status == 401 and not renewed:
            renewed = True
            another: str | None = yield TokenWanted(token)
            if another is not None and another != token:
                token = another
                continue
        error.idempotency_key = request.key
        if not isinstance(error, Unavailable):
            raise error
        asked = _retry_after_s(outcome)
        error.retry_after_s = asked
        pause = (asked or 0.0) + _jitter_s(failures)
        if clock() + pause >= give_up:
            raise error
        yield Pause(pause)
        failures += 1


def failed(error: httpx.RequestError) -> Failure:
    """What an error of httpx means. Its own text may hold an address."""
    kind = type(error).__name__
    lasting = isinstance(
        error, httpx.LocalProtocolError | httpx.UnsupportedProtocol | httpx.TooManyRedirects
    )
    return Failure(kind, passing=not lasting)


def _error(request: Request, outcome: Reply | Failure, *, again: bool) -> ApiError | None:
    if isinstance(outcome, Failure):
        if outcome.passing:
            return Unavailable(
                f"no answer ({outcome.reason}): is the API there? try again later",
                request=request.name,
            )
        return InvalidRequest(
            f"the request cannot be sent ({outcome.reason})", request=request.name
        )
    if 200 <= outcome.status < 300:
        return None
    if again and outcome.status in request.repeat_accepts:
        return None
    if outcome.status in request.accepts and outcome.headers.get("content-type") == _JSON:
        return None
    return from_answer(request.name, outcome.status, outcome.headers, outcome.body)


def _jitter_s(failures: int) -> float:
    """Doubling, with jitter, so that clients do not come back all at once."""
    longest = min(_SHORTEST_PAUSE_S * 2.0**failures, _LONGEST_PAUSE_S)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311


def _retry_after_s(outcome: Reply | Failure) -> float | None:
    """What the answer asks for: seconds, or a time."""
    if isinstance(outcome, Failure):
        return None
    text = outcome.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdecimal():
        return float(text[:9])
    try:
        return max((parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds(), 0.0)
    except (ValueError, TypeError):  # no time, or one without a zone
        return None
