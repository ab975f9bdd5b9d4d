"""Lists of everything: each is fetched page by page while it is gone through."""

from typing import Any, Literal, Unpack

from turnlog_client.calls import pages
from turnlog_client.options import Moment, ReadOptions
from turnlog_client.pages import Listing
from turnlog_client.results import (
    Branch,
    Export,
    Project,
    Rebuild,
    Revision,
    SearchItem,
    Session,
    StoredEvent,
    TitleChange,
    Turn,
)
from turnlog_client.sessions import freshness, path_of, turn_path
from turnlog_schemas.events import Role


class Lists:
    """Lists: iterate over what a method gives. `page_size` is how many items a request asks for,
    at most 1,000, of a search 100."""

    @pages
    def sessions(
        self,
        *,
        user_id: str | None = None,
        project: str | None = None,
        archived: bool | None = None,
        since: Moment | None = None,
        until: Moment | None = None,
        page_size: int | None = None,
    ) -> Listing[Session]:
        """Sessions that are not deleted, the one that changed last first: a user's own and those
        that are visible to the tenant, or with `user_id` those of one user; for a service that acts
        for nobody, all. `since` (inclusive) and `until` (exclusive) are times of their last
        change. A session that changes during the walk may move to a place already passed."""
        params = {
            "user_id": user_id,
            "project": project,
            "archived": archived,
            "since": since,
            "until": until,
            "limit": page_size,
        }
        return Listing("/v1/sessions", params)

    @pages
    def turns(
        self,
        session_id: str,
        *,
        after: int | None = None,
        before: int | None = None,
        order: Literal["asc", "desc"] | None = None,
        branch: str | None = None,
        include_retracted: bool = False,
        as_of: int | Moment | None = None,
        page_size: int | None = None,
        **options: Unpack[ReadOptions],
    ) -> Listing[Turn]:
        """The visible turns of the shown (or a named) branch by seq, or with `order="desc"` from
        the newest one back; `after` and `before` are seqs. `include_retracted` shows stubs of
        retracted ones. With `as_of` (a seq or a time) everything is as it was then, and all pages
        show the same moment. Pages tell the `total_count`."""
        params = {
            "after": after,
            "before": before,
            "order": order,
            "branch": branch,
            "include": "retracted" if include_retracted else None,
            "as_of": as_of,
            "limit": page_size,
        }
        return Listing(f"{path_of(session_id)}/turns", {**params, **freshness(options)})

    @pages
    def revisions(
        self,
        session_id: str,
        turn_id: str,
        *,
        page_size: int | None = None,
        **options: Unpack[ReadOptions],
    ) -> Listing[Revision]:
        """Edits and the retraction of a turn, oldest first. A turn that was erased has none."""
        return _trail(f"{turn_path(session_id, turn_id)}/revisions", page_size, options)

    @pages
    def titles(
        self, session_id: str, *, page_size: int | None = None, **options: Unpack[ReadOptions]
    ) -> Listing[TitleChange]:
        """Every title that the session has had, oldest first."""
        return _trail(f"{path_of(session_id)}/titles", page_size, options)

    @pages
    def branches(
        self, session_id: str, *, page_size: int | None = None, **options: Unpack[ReadOptions]
    ) -> Listing[Branch]:
        """The branches of a session, oldest first."""
        return _trail(f"{path_of(session_id)}/branches", page_size, options)

    @pages
    def events(
        self,
        session_id: str,
        *,
        after: int | None = None,
        before: int | None = None,
        order: Literal["asc", "desc"] | None = None,
        type: str | None = None,  # noqa: A002 - the field's name
        page_size: int | None = None,
        **options: Unpack[ReadOptions],
    ) -> Listing[StoredEvent]:
        """The log of a session itself, by seq without a gap, or with `order="desc"` from the newest
        event back; also what is not projected yet. `after` and `before` are seqs. Of erased events
        stubs are left. While Redis is down the list ends with what is archived: then `head` of a
        page's freshness is None."""
        params = {"after": after, "before": before, "order": order, "type": type}
        return _trail(f"{path_of(session_id)}/events", page_size, options, **params)

    @pages
    def projects(
        self,
        *,
        user_id: str | None = None,
        archived: bool | None = None,
        page_size: int | None = None,
    ) -> Listing[Project]:
        """Projects of the sessions that the caller may read, by name, with counts; the sessions
        without one come first, as project None."""
        params = {"user_id": user_id, "archived": archived, "limit": page_size}
        return Listing("/v1/projects", params)

    @pages
    def search(
        self,
        q: str,
        *,
        session_id: str | None = None,
        user_id: str | None = None,
        role: Role | None = None,
        project: str | None = None,
        since: Moment | None = None,
        until: Moment | None = None,
        sort: Literal["rank", "newest"] | None = None,
        include_tool_results: bool = False,
        page_size: int | None = None,
    ) -> Listing[SearchItem]:
        """Turns that hold the words, over all branches, and titles that somebody gave a session;
        the best first, or the newest. `q` is as in a web search: all words; `"words side by side"`;
        `-without`; `or` between alternatives. Pages tell `search_lag` and whether they are
        `complete`."""
        params = {
            "q": q,
            "session_id": session_id,
            "user_id": user_id,
            "role": role,
            "project": project,
            "since": since,
            "until": until,
            "sort": sort,
            "include": "tool_results" if include_tool_results else None,
            "limit": page_size,
        }
        return Listing("/v1/search", params)

    @pages
    def exports(self, *, page_size: int | None = None) -> Listing[Export]:
        """Exports that the caller has asked for, the newest first; whoever reads the whole tenant
        sees everybody's."""
        return Listing("/v1/exports", {"limit": page_size})

    @pages
    def rebuilds(self, *, page_size: int | None = None) -> Listing[Rebuild]:
        """Rebuilds, the newest first; scope `admin`."""
        return Listing("/v1/rebuilds", {"limit": page_size})


def _trail(path: str, page_size: int | None, options: ReadOptions, **params: Any) -> Listing[Any]:
    return Listing(path, {"limit": page_size, **params, **freshness(options)})
