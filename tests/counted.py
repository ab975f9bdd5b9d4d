"""Statistics the slow way: every turn read as JSON, counted in Python, its day looked up in the
time zone. Shares nothing with the columns, the statement or the days of `GET /v1/stats`."""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from psycopg import sql

from turnlog_projector.database import Database


class Held(NamedTuple):
    """A session as the read models hold it, with all of its turns."""

    tenant: str
    session: dict[str, Any]
    floor: int
    turns: list[dict[str, Any]]


def held(connection: Database, generation: int) -> list[Held]:
    """Every session of a generation that is not erased."""
    schema = sql.Identifier(f"g{generation}")
    turns: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    query = sql.SQL("SELECT tenant, session_id, body FROM {}.turns").format(schema)
    for tenant, session_id, body in connection.execute(query):
        turns[tenant, session_id].append(json.loads(body))
    query = sql.SQL(
        "SELECT tenant, session_id, body, floor FROM {}.sessions WHERE NOT erased"
    ).format(schema)
    rows = connection.execute(query).fetchall()
    return [Held(row[0], json.loads(row[2]), row[3], turns[row[0], row[1]]) for row in rows]


def count(
    sessions: Iterable[Held],
    since: str,
    until: str,
    tz: str,
    *,
    tenant: str = "default",
    reader: str | None = None,
    **filters: str,
) -> dict[str, Any]:
    """What `GET /v1/stats` answers to a reader (None: the whole tenant)."""
    zone = ZoneInfo(tz)
    counted: list[tuple[str, Held, dict[str, Any]]] = []
    for one in sessions:
        session = one.session
        may = reader in (None, session["user_id"]) or session["visibility"] == "tenant"
        wanted = all(session[name] == value for name, value in filters.items())
        if one.tenant == tenant and may and wanted and not session["deleted"]:
            for turn in one.turns:
                if since <= turn["at"] < until:
                    moment = datetime.fromisoformat(turn["at"]).astimezone(zone)
                    counted.append((moment.date().isoformat(), one, turn))
    day = datetime.fromisoformat(since).astimezone(zone).date()
    last = datetime.fromisoformat(until).astimezone(zone) - timedelta(microseconds=1)
    days: list[dict[str, Any]] = []
    while day <= last.date():
        name = day.isoformat()
        days.append({"day": name, **_figures([each for each in counted if each[0] == name])})
        day += timedelta(days=1)
    return {"since": since, "until": until, "tz": tz, "total": _figures(counted), "days": days}


def _figures(counted: list[tuple[str, Held, dict[str, Any]]]) -> dict[str, Any]:
    shown = [
        (one, turn)
        for _, one, turn in counted
        if turn["seq"] > one.floor and turn["status"] != "retracted"
    ]
    users = {one.session["user_id"] for one, _ in shown} - {None}
    by_model: dict[str | None, Counter[str]] = defaultdict(Counter)
    for _, _, turn in counted:
        spent = _spent(turn)
        if spent or turn["model"] is not None:
            model = turn["model"]
            by_model[model if model is None else model[:128]].update(spent)
    turns_by_model: Counter[str | None] = Counter()
    for _, turn in shown:
        turns_by_model[turn["model"] and turn["model"][:128]] += bool(
            _spent(turn) or turn["model"] is not None
        )
    ratings = [
        float(each["value"])
        for _, turn in shown
        for each in turn["annotations"]
        if each["kind"] == "rating"
    ]
    usage: Counter[str] = Counter()
    for spent in by_model.values():
        usage.update(spent)
    response_times = sorted(
        round(turn["response_time_ms"] * 1000)
        for _, turn in shown
        if turn["response_time_ms"] is not None
    )
    return {
        "turns": len(shown),
        "by_role": dict(Counter(turn["role"] for _, turn in shown)),
        "active_sessions": len({one.session["session_id"] for one, _ in shown}),
        "active_users": len(users),
        "usage": dict(usage),
        "by_model": [
            {"model": model, "turns": turns_by_model[model], "usage": dict(by_model[model])}
            for model in sorted(by_model, key=lambda name: (name is None, name or ""))
        ],
        "response_time_ms": {
            "count": len(response_times),
            "p50": _percentile(response_times, 0.5),
            "p95": _percentile(response_times, 0.95),
            "p99": _percentile(response_times, 0.99),
        },
        "ratings": {
            "count": len(ratings),
            "average": sum(ratings) / len(ratings) if ratings else None,
            "by_value": [
                {"value": value, "count": number}
                for value, number in sorted(Counter(ratings).items())
            ],
        },
    }


def _spent(turn: dict[str, Any]) -> Counter[str]:
    usage: dict[str, Any] = turn["usage"] or {}
    numbers = {
        name: value
        for name, value in usage.items()
        if type(value) is int and 0 <= value <= 2**53 and "," not in name
    }
    own = ("input_tokens", "output_tokens")
    further = [name for name in numbers if name not in own][:8]
    return Counter({name: numbers[name] for name in (*own, *further) if name in numbers})


def _percentile(ordered: list[int], share: float) -> float | None:
    return ordered[math.ceil(share * len(ordered)) - 1] / 1000 if ordered else None
