"""The answer with statistics as the documentation shows it."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from turnlog_api.docs import answers
from turnlog_api.models import Moment


class _Shown(BaseModel):
    model_config = ConfigDict(extra="forbid")


Tokens = Annotated[
    dict[str, int],
    Field(description="Sums of the counters of usage: input_tokens, output_tokens and others."),
]


class ModelStats(_Shown):
    """One model; null: turns that spent tokens and name none."""

    model: str | None
    turns: int
    usage: Tokens


class ResponseTimes(_Shown):
    """Percentiles of the response times that are known, in milliseconds; null when none is."""

    count: int
    p50: float | None
    p95: float | None
    p99: float | None


class RatingCount(_Shown):
    value: float
    count: int


class RatingStats(_Shown):
    """Ratings of the turns of the day; true counts as 1, false as 0."""

    count: int
    average: float | None
    by_value: list[RatingCount]


class Figures(_Shown):
    turns: int
    by_role: dict[str, int]
    active_sessions: Annotated[int, Field(description="Sessions with a turn.")]
    active_users: Annotated[int, Field(description="Users of these sessions.")]
    usage: Tokens
    by_model: list[ModelStats]
    response_time_ms: ResponseTimes
    ratings: RatingStats


class DayStats(Figures):
    day: Annotated[str, Field(json_schema_extra={"format": "date"})]


class Statistics(_Shown):
    """Days without turns are there, with zeros. `since` <= at < `until`."""

    since: Moment
    until: Moment
    tz: str
    total: Annotated[
        Figures, Field(description="The whole range; somebody active on two days counts once.")
    ]
    days: list[DayStats]


_FIGURES: dict[str, Any] = {
    "turns": 4,
    "by_role": {"assistant": 2, "user": 2},
    "active_sessions": 2,
    "active_users": 1,
    "usage": {"input_tokens": 312, "output_tokens": 87, "cached_tokens": 128},
    "by_model": [
        {
            "model": "gpt-5",
            "turns": 2,
            "usage": {"input_tokens": 312, "output_tokens": 87, "cached_tokens": 128},
        }
    ],
    "response_time_ms": {"count": 2, "p50": 812.5, "p95": 1204.25, "p99": 1204.25},
    "ratings": {"count": 1, "average": 1, "by_value": [{"value": 1, "count": 1}]},
}

EXAMPLE: dict[str, Any] = {
    "since": "2026-01-30T23:00:00.000000Z",
    "until": "2026-01-31T23:00:00.000000Z",
    "tz": "Europe/Berlin",
    "total": _FIGURES,
    "days": [{"day": "2026-01-31", **_FIGURES}],
}

HEADERS: dict[str, Any] = {
    "Turnlog-Behind": {
        "description": "Appends to the log, of all sessions, that the answer cannot show yet; "
        "absent while Redis is down.",
        "schema": {"type": "integer"},
    },
}


def stats_answers() -> dict[int | str, dict[str, Any]]:
    """What the route answers, as `responses`."""
    found = answers(200, Statistics, EXAMPLE, "postgres-unavailable")
    found[200]["headers"] = HEADERS
    return found
