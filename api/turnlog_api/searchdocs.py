"""The answer of a search as the documentation shows it."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from turnlog_api.docs import answers
from turnlog_api.models import Moment
from turnlog_schemas.events import Id, Role


class _Shown(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SnippetPart(_Shown):
    """A piece of a snippet, as plain text: escape it before it goes into a page."""

    text: str
    hit: Annotated[bool, Field(description="This is what was looked for.")]


class SearchItem(_Shown):
    """A turn that was found, or the title of a session (then what tells of a turn is null)."""

    session_id: Id
    turn_id: Id | None
    seq: int | None
    role: Role | None
    at: Moment
    title: Annotated[str | None, Field(description="The title of the session.")]
    snippet: Annotated[
        list[SnippetPart], Field(description="The parts together are a piece of the text.")
    ]
    rank: Annotated[float, Field(description="Greater is better; to compare within one answer.")]
    branch_id: Annotated[
        str | None, Field(description="The branch of the turn; it need not be the one shown.")
    ]


class SearchLag(_Shown):
    events: Annotated[
        int, Field(description="Events that the read models show, and search does not yet.")
    ]
    sessions: Annotated[int, Field(description="Sessions of which the index is being made anew.")]
    seconds: Annotated[float, Field(description="Age of the oldest of either.")]


class SearchPage(_Shown):
    items: list[SearchItem]
    next_cursor: Annotated[str | None, Field(description="Send it as `cursor` for the next page.")]
    has_more: bool
    complete: Annotated[
        bool,
        Field(description="False: there were so many hits that only the newest were ranked."),
    ]
    lag: SearchLag


EXAMPLE: dict[str, Any] = {
    "items": [
        {
            "session_id": "s-42",
            "turn_id": "0198c0de-7a11-7000-8000-000000000000",
            "seq": 2,
            "role": "user",
            "at": "2026-01-31T12:00:00.000000Z",
            "title": "How is revenue by region?",
            "snippet": [
                {"text": "How is ", "hit": False},
                {"text": "revenue", "hit": True},
                {"text": " by ", "hit": False},
                {"text": "region", "hit": True},
                {"text": "?", "hit": False},
            ],
            "rank": 0.05770780145,
            "branch_id": "main",
        }
    ],
    "next_cursor": None,
    "has_more": False,
    "complete": True,
    "lag": {"events": 0, "sessions": 0, "seconds": 0.0},
}

HEADERS: dict[str, Any] = {
    "Turnlog-Search-Behind": {
        "description": "Events that the read models show, and search does not yet.",
        "schema": {"type": "integer"},
    },
    "Turnlog-Search-Lag": {
        "description": "Age of the oldest of them, in seconds.",
        "schema": {"type": "number"},
    },
}


def search_answers() -> dict[int | str, dict[str, Any]]:
    """What the route answers, as `responses`."""
    found = answers(200, SearchPage, EXAMPLE, "bad-cursor", "postgres-unavailable")
    found[200]["headers"] = HEADERS
    return found
