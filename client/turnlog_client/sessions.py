"""Calls about sessions: one, and what changes it."""

from typing import Any, Unpack

from turnlog_client.calls import call
from turnlog_client.options import Moment, ReadOptions, WriteOptions
from turnlog_client.requests import Request, Steps, get, one, segment, text_segment, write
from turnlog_client.results import Cleared, Session, UserErased, Written
from turnlog_schemas.events import TitleSource, Visibility


class SessionCalls:
    """Sessions. Writes raise `NotFound` for a session that is not there, `Forbidden` for one that
    is somebody else's to write, and `Conflict` when it is not at `expected_seq`."""

    @call
    def create_session(
        self,
        session_id: str | None = None,
        *,
        user_id: str | None = None,
        project: str | None = None,
        title: str | None = None,
        visibility: Visibility | None = None,
        metadata: dict[str, Any] | None = None,
        **options: Unpack[WriteOptions],
    ) -> Steps[Written]:
        """Begin a session; without an id one is made up. There is no need to: the first turn begins
        its session. `user_id` is for a service that acts for nobody in particular. Raises
        `SessionExists` when the id is taken."""
        body = {
            "session_id": session_id,
            "user_id": user_id,
            "project": project,
            "title": title,
            "visibility": visibility,
            "metadata": metadata,
        }
        return one(change("POST", "/v1/sessions", given(body), options))

    @call
    def session(
        self,
        session_id: str,
        *,
        as_of: int | Moment | None = None,
        etag: str | None = None,
        **options: Unpack[ReadOptions],
    ) -> Steps[Session]:
        """One session; also a deleted one, which says so. `as_of`: as it was after this event (a
        seq), or at this time. With the `etag` of an answer that the caller has, raises
        `NotModified` while it still holds."""
        params = {"as_of": as_of, **freshness(options)}
        return one(get(path_of(session_id), params, etag=etag))

    @call
    def update_session(
        self,
        session_id: str,
        *,
        title: str | None = None,
        title_source: TitleSource | None = None,
        project: str | None = None,
        visibility: Visibility | None = None,
        metadata: dict[str, Any] | None = None,
        archived: bool | None = None,
        pinned: bool | None = None,
        branch: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> Steps[Written]:
        """Change what is given. `metadata` is merged key by key, None removes a key; a title whose
        source is `model` never replaces one that a user gave."""
        body = {
            "title": title,
            "title_source": title_source,
            "project": project,
            "visibility": visibility,
            "metadata": metadata,
            "archived": archived,
            "pinned": pinned,
            "branch": branch,
        }
        return _changed(session_id, options, **body)

    @call
    def rename_session(
        self,
        session_id: str,
        title: str,
        *,
        source: TitleSource = "user",
        **options: Unpack[WriteOptions],
    ) -> Steps[Written]:
        """Give the session a title."""
        return _changed(session_id, options, title=title, title_source=source)

    @call
    def pin_session(
        self, session_id: str, pinned: bool = True, **options: Unpack[WriteOptions]
    ) -> Steps[Written]:
        """Pin the session, or with False undo it."""
        return _changed(session_id, options, pinned=pinned)

    @call
    def archive_session(
        self, session_id: str, archived: bool = True, **options: Unpack[WriteOptions]
    ) -> Steps[Written]:
        """Archive the session, or with False undo it."""
        return _changed(session_id, options, archived=archived)

    @call
    def set_visibility(
        self, session_id: str, visibility: Visibility, **options: Unpack[WriteOptions]
    ) -> Steps[Written]:
        """Show the session to all users of the tenant (`tenant`), or its owner only (`private`)."""
        return _changed(session_id, options, visibility=visibility)

    @call
    def choose_branch(
        self, session_id: str, branch_id: str, **options: Unpack[WriteOptions]
    ) -> Steps[Written]:
        """Show this branch of the session, until another turn opens a new one."""
        return _changed(session_id, options, branch=branch_id)

    @call
    def clear_session(self, session_id: str, **options: Unpack[WriteOptions]) -> Steps[Cleared]:
        """Hide the turns so far, and tell how many those were. They stay in the log."""
        return one(change("POST", f"{path_of(session_id)}/clear", None, options))

    @call
    def delete_session(self, session_id: str, **options: Unpack[WriteOptions]) -> Steps[Written]:
        """Take the session out of every list, until `restore_session`."""
        return one(change("DELETE", path_of(session_id), None, options))

    @call
    def restore_session(self, session_id: str, **options: Unpack[WriteOptions]) -> Steps[Written]:
        """Undo `delete_session`, with what was appended meanwhile."""
        return one(change("POST", f"{path_of(session_id)}/restore", None, options))

    @call
    def erase_session(self, session_id: str, **options: Unpack[WriteOptions]) -> Steps[Written]:
        """Remove the session for good, from the log as well: there is no undoing it. It takes
        nothing any more; its text goes once a projector has passed the tombstone, not yet when this
        returns."""
        return one(change("DELETE", path_of(session_id), None, options, erase=True))

    @call
    def erase_user(self, user_id: str) -> Steps[UserErased]:
        """Erase every session of a user of the tenant for good; scope `admin`. `failed` names those
        that could not be: call it again."""
        path = f"/v1/users/{text_segment(user_id, 'user_id')}"
        return one(Request("DELETE", path))


def path_of(session_id: str) -> str:
    """Where a session is."""
    return f"/v1/sessions/{segment(session_id, 'session_id')}"


def turn_path(session_id: str, turn_id: str) -> str:
    """Where a turn is."""
    return f"{path_of(session_id)}/turns/{segment(turn_id, 'turn_id')}"


def given(values: dict[str, Any]) -> dict[str, Any]:
    """Those that are not None."""
    return {name: value for name, value in values.items() if value is not None}


def freshness(options: ReadOptions) -> dict[str, Any]:
    """The query parameters of `ReadOptions`."""
    return {
        "consistency": "strong" if options.get("strong") else None,
        "min_seq": options.get("min_seq"),
    }


def change(
    method: str,
    path: str,
    body: dict[str, Any] | None,
    options: WriteOptions,
    **params: Any,
) -> Request:
    """A write of a session."""
    return write(
        method,
        path,
        body,
        params={"ack": options.get("ack"), **params},
        key=options.get("idempotency_key"),
        expected_seq=options.get("expected_seq"),
    )


def _changed(session_id: str, options: WriteOptions, **values: Any) -> Steps[Written]:
    return one(change("PATCH", path_of(session_id), given(values), options))
