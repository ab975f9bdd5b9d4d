"""Examples for the documentation."""

from typing import Any

SESSION: dict[str, Any] = {
    "session_id": "s-42",
    "user_id": "u-1",
    "project": "sales",
    "title": "How is revenue by region?",
    "title_source": "turn",
    "visibility": "private",
    "created_at": "2026-01-31T12:00:00.000000Z",
    "updated_at": "2026-01-31T12:00:02.481000Z",
    "turn_count": 2,
    "last_turn": {
        "role": "assistant",
        "preview": "North leads with 41 %.",
        "at": "2026-01-31T12:00:02.481000Z",
    },
    "usage": {"input_tokens": 31, "output_tokens": 9},
    "branch_id": "main",
    "archived": False,
    "pinned": False,
    "deleted": False,
    "metadata": {"channel": "web"},
    "seq": 3,
}

TURN: dict[str, Any] = {
    "turn_id": "0198c0de-7a11-7000-8000-000000000001",
    "seq": 3,
    "role": "assistant",
    "content": "North leads with 41 %.",
    "name": None,
    "tool_calls": None,
    "tool_call_id": None,
    "artifacts": [{"id": "a-1", "kind": "chart", "mime": "image/svg+xml", "url": "/charts/1.svg"}],
    "model": "m-large",
    "usage": {"input_tokens": 31, "output_tokens": 9},
    "response_time_ms": 812.0,
    "parent_turn_id": "0198c0de-7a11-7000-8000-000000000000",
    "branch_id": "main",
    "status": "complete",
    "reason": None,
    "edited": False,
    "annotations": [],
    "actor": {"kind": "service", "id": "chat-backend"},
    "at": "2026-01-31T12:00:02.481000Z",
    "recorded_at": "2026-01-31T12:00:02.482000Z",
    "metadata": None,
}

EVENT: dict[str, Any] = {
    "event_id": "0198c0de-7a11-7000-8000-00000000000a",
    "type": "turn.edited",
    "version": 1,
    "at": "2026-01-31T12:00:09.102000Z",
    "actor": {"kind": "user", "id": "u-1"},
    "data": {
        "turn_id": "0198c0de-7a11-7000-8000-000000000000",
        "content": "How is revenue by country?",
    },
    "seq": 4,
    "recorded_at": "2026-01-31T12:00:09.104000Z",
}
EVENT_PAGE: dict[str, Any] = {"items": [EVENT], "next_cursor": None, "has_more": False}
REVISION_PAGE: dict[str, Any] = {
    "items": [
        {
            "turn_id": "0198c0de-7a11-7000-8000-000000000000",
            "seq": 4,
            "type": "turn.edited",
            "reason": None,
            "before": {"content": "How is revenue by region?", "edited": False},
            "after": {"content": "How is revenue by country?", "edited": True},
            "at": "2026-01-31T12:00:09.102000Z",
            "actor": {"kind": "user", "id": "u-1"},
        }
    ],
    "next_cursor": None,
    "has_more": False,
}
TITLE_PAGE: dict[str, Any] = {
    "items": [
        {
            "seq": 2,
            "title": "How is revenue by region?",
            "before": None,
            "source": "turn",
            "turn_id": "0198c0de-7a11-7000-8000-000000000000",
            "at": "2026-01-31T12:00:00.000000Z",
            "actor": {"kind": "user", "id": "u-1"},
        },
        {
            "seq": 5,
            "title": "Revenue",
            "before": "How is revenue by region?",
            "source": "user",
            "turn_id": None,
            "at": "2026-01-31T12:01:00.000000Z",
            "actor": {"kind": "user", "id": "u-1"},
        },
    ],
    "next_cursor": None,
    "has_more": False,
}
BRANCH_PAGE: dict[str, Any] = {
    "items": [
        {
            "branch_id": "main",
            "parent_branch_id": None,
            "fork_seq": 0,
            "first_seq": 2,
            "tip_turn_id": "0198c0de-7a11-7000-8000-000000000001",
            "path": [["main", None]],
            "created_at": "2026-01-31T12:00:00.000000Z",
            "actor": {"kind": "user", "id": "u-1"},
            "shown": False,
        },
        {
            "branch_id": "b6",
            "parent_branch_id": "main",
            "fork_seq": 2,
            "first_seq": 6,
            "tip_turn_id": "0198c0de-7a11-7000-8000-000000000002",
            "path": [["main", 2], ["b6", None]],
            "created_at": "2026-01-31T12:02:00.000000Z",
            "actor": {"kind": "service", "id": "chat-backend"},
            "shown": True,
        },
    ],
    "next_cursor": None,
    "has_more": False,
}
SESSION_PAGE: dict[str, Any] = {"items": [SESSION], "next_cursor": None, "has_more": False}
TURN_PAGE: dict[str, Any] = {
    "items": [TURN],
    "next_cursor": "eyJzZXNzaW9uX2lkIjoicy00MiIsInNlcSI6M30",
    "has_more": True,
    "total_count": 2,
}
PROJECT_PAGE: dict[str, Any] = {
    "items": [
        {
            "project": "sales",
            "session_count": 12,
            "turn_count": 164,
            "updated_at": "2026-01-31T12:00:02.481000Z",
        }
    ],
    "next_cursor": None,
    "has_more": False,
}
EXPORT: dict[str, Any] = {
    "export_id": "0198c0de-7a11-7000-8000-0000000000ee",
    "state": "done",
    "format": "csv",
    "options": {
        "format": "csv",
        "branches": "shown",
        "annotations": False,
        "delimiter": "comma",
        "whole_cells": False,
        "project": "sales",
    },
    "requested_by": "u-1",
    "requested_at": "2026-01-31T12:00:00.000000Z",
    "started_at": "2026-01-31T12:00:01.250000Z",
    "ended_at": "2026-01-31T12:00:02.750000Z",
    "expires_at": "2026-02-01T12:00:02.750000Z",
    "attempts": 1,
    "sessions": 12,
    "total_sessions": 12,
    "missing": 0,
    "done": 164,
    "total": 164,
    "bytes": 81920,
    "file": "/v1/exports/0198c0de-7a11-7000-8000-0000000000ee/file",
    "error": None,
}
EXPORT_WAITING: dict[str, Any] = {
    **EXPORT,
    **dict.fromkeys(("started_at", "ended_at", "expires_at", "file")),
    **dict.fromkeys(("attempts", "sessions", "total_sessions", "done", "total", "bytes"), 0),
    "state": "waiting",
}
EXPORT_PAGE: dict[str, Any] = {"items": [EXPORT], "next_cursor": None, "has_more": False}
EXPORT_FILES: dict[str, Any] = {
    "jsonl": (
        '{"session_id":"s-42","seq":1,"event_id":"…","recorded_at":"2026-01-31T12:00:00.000000Z",'
        '"event":{…}}\n'
    ),
    "json": {
        "format": "turnlog",
        "version": 1,
        "sessions": [{"session": SESSION, "turns": [TURN]}],
    },
    "csv": '\ufeff"session_id","title",…\r\n"s-42","Revenue by region",…\r\n',
    "md": "# Revenue by region\n…",
}
"""Of each format, a file in short."""
EXPORT_IN: dict[str, Any] = {"format": "csv", "project": "sales"}
SESSION_IN: dict[str, Any] = {
    "session_id": "s-42",
    "project": "sales",
    "metadata": {"channel": "web"},
}
SESSION_PATCH: dict[str, Any] = {"title": "Revenue by region", "pinned": True}
TURN_IN: dict[str, Any] = {"role": "user", "content": "How is revenue by region?"}
TURN_PATCH: dict[str, Any] = {"content": "North leads with 42 %.", "reason": "a slip"}
ANNOTATION_IN: dict[str, Any] = {"kind": "rating", "value": 1}
WRITTEN: dict[str, Any] = {
    "session_id": "s-42",
    "seq": 2,
    "event_id": "0198c0de-7a11-7000-8000-00000000000a",
    "turn_id": "0198c0de-7a11-7000-8000-000000000000",
    "repeat": False,
}
PROBLEM: dict[str, Any] = {
    "type": "urn:turnlog:problem:not-found",
    "title": "There is nothing here",
    "status": 404,
    "detail": "there is no such session, or it is not yours to see",
    "request_id": "0198c0de-7a11-7000-8000-0000000000ff",
}
