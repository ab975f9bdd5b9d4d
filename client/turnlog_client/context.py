"""Turns as the messages that a model is given to go on."""

from collections.abc import Sequence
from typing import Any

from turnlog_client.results import Turn
from turnlog_schemas.openai import to_openai

_FIELDS = (
    *("role", "content", "name", "tool_calls", "tool_call_id"),
    *("refusal", "audio", "function_call"),
)
"""What the chat API takes; an imported turn may have kept more."""


def context_of(newest_first: Sequence[Turn]) -> list[dict[str, Any]]:
    """The messages, oldest first."""
    turns = [turn for turn in reversed(newest_first) if turn["status"] != "streaming"]
    first = next((n for n, turn in enumerate(turns) if turn["role"] != "tool"), len(turns))
    return [_message(turn) for turn in turns[first:]]


def _message(turn: Turn) -> dict[str, Any]:
    kept = to_openai(turn)
    message = {name: kept[name] for name in _FIELDS if name in kept}
    if message["role"] == "agent":
        message["role"] = "assistant"
    return message
