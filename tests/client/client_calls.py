"""Every call of the client with every argument that it takes, for test_client_covers.py."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

from turnlog_client import Client, NewTurn

AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
READ: dict[str, Any] = {"strong": True, "min_seq": 1}
WRITE: dict[str, Any] = {"idempotency_key": "k", "expected_seq": 1, "ack": "projected"}
FILE: dict[str, Any] = {
    "branches": "all",
    "annotations": True,
    "delimiter": "tab",
    "whole_cells": True,
}
TURN: dict[str, Any] = {
    "turn_id": "t",
    "name": "n",
    "tool_calls": [],
    "tool_call_id": "c",
    "artifacts": [],
    "model": "m",
    "usage": {},
    "response_time_ms": 1,
    "parent_turn_id": None,
    "metadata": {},
    "at": AT,
    "actor": {"kind": "user"},
    "trace": {},
}
SESSION: dict[str, Any] = {
    "title": "x",
    "project": "p",
    "visibility": "tenant",
    "metadata": {},
}

CALLS: list[Callable[[Client], object]] = [
    lambda c: c.create_session("s", user_id="u", **SESSION, **WRITE),
    lambda c: c.session("s", as_of=AT, etag='W/"1"', **READ),
    lambda c: c.update_session(
        "s", title_source="user", archived=True, pinned=True, branch="b", **SESSION, **WRITE
    ),
    lambda c: c.rename_session("s", "x", source="model", **WRITE),
    lambda c: c.pin_session("s", False, **WRITE),
    lambda c: c.archive_session("s", False, **WRITE),
    lambda c: c.set_visibility("s", "private", **WRITE),
    lambda c: c.choose_branch("s", "b", **WRITE),
    lambda c: c.clear_session("s", **WRITE),
    lambda c: c.delete_session("s", **WRITE),
    lambda c: c.restore_session("s", **WRITE),
    lambda c: c.erase_session("s", **WRITE),
    lambda c: c.erase_user("u"),
    lambda c: c.append_turn("s", "user", "x", **TURN, **WRITE),
    lambda c: c.append_turns("s", [NewTurn(role="user", content="x")], **WRITE),
    lambda c: c.edit_turn("s", "t", "x", reason="r", **WRITE),
    lambda c: c.retract_turn("s", "t", reason="r", **WRITE),
    lambda c: c.erase_turn("s", "t", reason="r", **WRITE),
    lambda c: c.annotate_turn("s", "t", "rating", 1, by="u", **WRITE),
    lambda c: c.remove_annotation("s", "t", "reaction", "+1", by="u", **WRITE),
    lambda c: c.context("s", last=5, branch="b", as_of=3, **READ),
    lambda c: list(
        c.sessions(user_id="u", project="p", archived=True, since=AT, until=AT, page_size=5)
    ),
    lambda c: list(
        c.turns(
            "s",
            after=1,
            before=9,
            order="desc",
            branch="b",
            include_retracted=True,
            as_of=AT,
            page_size=5,
            **READ,
        )
    ),
    lambda c: list(c.revisions("s", "t", page_size=5, **READ)),
    lambda c: list(c.titles("s", page_size=5, **READ)),
    lambda c: list(c.branches("s", page_size=5, **READ)),
    lambda c: list(
        c.events("s", after=1, before=9, order="asc", type="turn.edited", page_size=5, **READ)
    ),
    lambda c: list(c.projects(user_id="u", archived=True, page_size=5)),
    lambda c: list(
        c.search(
            "x",
            session_id="s",
            user_id="u",
            role="user",
            project="p",
            since=AT,
            until=AT,
            sort="newest",
            include_tool_results=True,
            page_size=5,
        )
    ),
    lambda c: c.stats(
        since=date(2026, 1, 1), until=AT, tz="UTC", user_id="u", project="p", session_id="s"
    ),
    lambda c: c.start_export(
        "csv",
        session_ids=["s"],
        user_id="u",
        project="p",
        archived=True,
        since=AT,
        until=AT,
        idempotency_key="k",
        **FILE,
    ),
    lambda c: list(c.exports(page_size=5)),
    lambda c: c.export("e"),
    lambda c: c.remove_export("e"),
    lambda c: c.export_file("e").read(),
    lambda c: c.export_session("s", "md", min_seq=1, **FILE).read(),
    lambda c: c.start_rebuild(session_id="s", until=5, name="n", idempotency_key="k"),
    lambda c: list(c.rebuilds(page_size=5)),
    lambda c: c.rebuild(1),
    lambda c: c.cancel_rebuild(1),
    lambda c: c.health(),
    lambda c: c.ready(),
    lambda c: c.status(),
    lambda c: c.metrics(),
]
