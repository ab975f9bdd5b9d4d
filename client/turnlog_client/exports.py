"""Calls about files and figures: exports of one session or many, statistics."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Unpack

from turnlog_client.calls import call, download
from turnlog_client.downloads import Source
from turnlog_client.options import ExportFormat, ExportOptions, Moment
from turnlog_client.requests import Request, Steps, get, moment, one, segment, write
from turnlog_client.results import Export, Statistics
from turnlog_client.sessions import given, path_of

_GONE = frozenset({404})


class ExportCalls:
    """Jobs that make a file of many sessions, and statistics."""

    @call
    def start_export(
        self,
        format: ExportFormat,  # noqa: A002 - the field's name
        *,
        session_ids: Sequence[str] | None = None,
        user_id: str | None = None,
        project: str | None = None,
        archived: bool | None = None,
        since: Moment | None = None,
        until: Moment | None = None,
        idempotency_key: str | None = None,
        **options: Unpack[ExportOptions],
    ) -> Steps[Export]:
        """Have a file made of the sessions that the caller may read, all as they are at one moment:
        every one that the list of sessions shows with these filters, or those named, deleted ones
        too. Ask `export` how far it is; `export_file` gives it when its state is `done`."""
        body: dict[str, Any] = {
            "format": format,
            "session_ids": None if session_ids is None else list(session_ids),
            "user_id": user_id,
            "project": project,
            "archived": archived,
            "since": None if since is None else moment(since, "since"),
            "until": None if until is None else moment(until, "until"),
            **options,
        }
        return one(write("POST", "/v1/exports", given(body), key=idempotency_key))

    @call
    def export(self, export_id: str) -> Steps[Export]:
        """One export, with its progress; `failed` says why in `error`."""
        return one(get(_path(export_id)))

    @call
    def remove_export(self, export_id: str) -> Steps[None]:
        """Remove an export with its file; one that is under way is broken off."""
        yield Request("DELETE", _path(export_id), repeat_accepts=_GONE)

    @call
    def stats(
        self,
        *,
        since: date | datetime | str | None = None,
        until: date | datetime | str | None = None,
        tz: str | None = None,
        user_id: str | None = None,
        project: str | None = None,
        session_id: str | None = None,
    ) -> Steps[Statistics]:
        """Turns, active sessions and users, tokens, response times and ratings of the sessions that
        the caller may read: day by day, and of the whole range; the last 30 days unless given.
        `since` (inclusive) and `until` (exclusive) are days of the time zone `tz` (an IANA name;
        UTC unless given), or times. What counts stands in docs/stats.md."""
        params = {
            "since": since,
            "until": until,
            "tz": tz,
            "user_id": user_id,
            "project": project,
            "session_id": session_id,
        }
        return one(get("/v1/stats", params))


class Downloads:
    """Files: iterate over what a method gives, `read()` or `save(path)` it."""

    @download
    def export_session(
        self,
        session_id: str,
        format: ExportFormat,  # noqa: A002 - the field's name
        *,
        min_seq: int | None = None,
        **options: Unpack[ExportOptions],
    ) -> Source:
        """One session, also a deleted one, as a file that is sent while it is read."""
        params = {"format": format, "min_seq": min_seq, **options}
        return Source(get(f"{path_of(session_id)}/export", params, download=True))

    @download
    def export_file(self, export_id: str) -> Source:
        """The file of an export that is done; else raises `Conflict`, or `NotFound` when it has
        expired. A download that breaks off goes on where it was."""
        return Source(get(f"{_path(export_id)}/file", download=True), resumes=True)


def _path(export_id: str) -> str:
    return f"/v1/exports/{segment(export_id, 'export_id')}"
