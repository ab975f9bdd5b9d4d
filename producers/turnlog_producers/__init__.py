"""Append chat turns to the log.

    async with AsyncTurnLog.connect("redis://localhost:6379", tenant="acme") as log:
        chat = log.session("s-42", user_id="u-1", project="sales")
        await chat.append_turn("user", "How is revenue by region?")

`TurnLog` is the same for threads.
"""

from turnlog_producers.async_client import AsyncTurnLog
from turnlog_producers.client import TurnLog
from turnlog_producers.core import Appended, Event
from turnlog_producers.errors import (
    Conflict,
    LogDamaged,
    Misconfigured,
    NotOwner,
    Refused,
    SessionErased,
    TooLarge,
    Unavailable,
)
from turnlog_producers.methods import EventBuilder
from turnlog_producers.options import CONTINUE
from turnlog_producers.session import AsyncChatSession, ChatSession
from turnlog_schemas.errors import InvalidEvent, TurnlogError
from turnlog_schemas.ids import derived_id

__all__ = [
    "CONTINUE",
    "Appended",
    "AsyncChatSession",
    "AsyncTurnLog",
    "ChatSession",
    "Conflict",
    "Event",
    "EventBuilder",
    "InvalidEvent",
    "LogDamaged",
    "Misconfigured",
    "NotOwner",
    "Refused",
    "SessionErased",
    "TooLarge",
    "TurnLog",
    "TurnlogError",
    "Unavailable",
    "derived_id",
]
