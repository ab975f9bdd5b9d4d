"""What statistics go by, as columns of a turn beside its JSON: to parse the JSON of every turn that
is counted would take many times as long.

The migration that added the columns fills them from the JSON by the same rules, in SQL.
"""

import re
from functools import lru_cache
from typing import Any, NamedTuple

from pydantic_core import to_json

from turnlog_schemas.rows import Turn

MAX_MODEL = 128
"""The name of a model counts up to so many code points."""

MAX_COUNTERS = 8
"""So many counters of a turn's usage besides the two that have columns, those that come first."""

_MOST = 2**53
_COUNTER = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class Figures(NamedTuple):
    """In the order of the columns. What is text is bounded where an index holds it."""

    model: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    counters: str | None = None
    """Names of further counters, with commas between."""
    counts: str | None = None
    """Their values, as Postgres writes an array."""
    response_us: int | None = None
    """The response time in microseconds."""
    ratings: str | None = None
    """The ratings that stand, as JSON, with commas between."""


NONE = Figures()


def figures(turn: Turn) -> Figures:
    """The figures of a turn, whatever its status."""
    model, usage, response_time = turn["model"], turn["usage"], turn["response_time_ms"]
    annotations = turn["annotations"]
    if model is None and response_time is None and not usage and not annotations:
        return NONE
    input_tokens: int | None = None
    output_tokens: int | None = None
    further: dict[str, int] = {}
    for name, value in usage.items() if usage else ():
        if type(value) is not int or not 0 <= value <= _MOST:
            continue
        if name == "input_tokens":
            input_tokens = value
        elif name == "output_tokens":
            output_tokens = value
        elif len(further) < MAX_COUNTERS and _is_counter(name):
            further[name] = value
    return Figures(
        model if model is None or len(model) <= MAX_MODEL else model[:MAX_MODEL],
        input_tokens,
        output_tokens,
        ",".join(further) if further else None,
        "{" + ",".join(map(str, further.values())) + "}" if further else None,
        None if response_time is None else round(response_time * 1000),
        _ratings(annotations) if annotations else None,
    )


@lru_cache(maxsize=1024)
def _is_counter(name: str) -> bool:
    return _COUNTER.fullmatch(name) is not None


def _ratings(annotations: list[dict[str, Any]]) -> str | None:
    values = [each["value"] for each in annotations if each["kind"] == "rating"]
    shown = [to_json(value).decode() for value in values if -_MOST <= value <= _MOST]
    return ",".join(shown) or None
