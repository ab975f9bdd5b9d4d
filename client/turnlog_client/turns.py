"""Calls about turns: new ones, and what changes one."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, Unpack

from turnlog_client.calls import call
from turnlog_client.context import context_of
from turnlog_client.options import (
    TURN_FIELDS,
    WRITE_OPTIONS,
    Content,
    Moment,
    NewTurn,
    ReadOptions,
    TurnOptions,
    WriteOptions,
)
from turnlog_client.pages import Listing
from turnlog_client.requests import Steps, moment, one, write
from turnlog_client.results import Turn, Written
from turnlog_client.sessions import change, freshness, given, path_of, turn_path
from turnlog_schemas.events import Role
from turnlog_schemas.ids import new_id

_LARGEST_PAGE = 1000


class TurnCalls:
    """Turns of a session. What changes one raises `NotFound` when the session has no such turn."""

    @call
    def append_turn(
        self,
        session_id: str,
        role: Role,
        content: Content = None,
        **options: Unpack[TurnOptions],
    ) -> Steps[Written]:
        """Append a turn; a session that does not exist begins with it. A second turn with the same
        turn_id changes nothing."""
        fields = {name: value for name, value in options.items() if name not in WRITE_OPTIONS}
        body = _turn({"role": role, "content": content, **fields})
        return one(change("POST", f"{path_of(session_id)}/turns", body, options))

    @call
    def append_turns(
        self, session_id: str, turns: Iterable[NewTurn], **options: Unpack[WriteOptions]
    ) -> Steps[list[Written]]:
        """Append turns one after another, in a request each; nobody else's may come in between only
        with `expected_seq`. When one fails, those before it stay written: repeat the call with the
        same turns and the `idempotency_key` of the error, and the rest follows."""
        key = options.get("idempotency_key") or new_id()
        path = f"{path_of(session_id)}/turns"
        expected = options.get("expected_seq")
        written: list[Written] = []
        for number, turn in enumerate(turns):
            reply = yield write(
                "POST",
                path,
                _turn(turn),
                params={"ack": options.get("ack")},
                key=f"{key}.{number}",
                told_key=key,
                expected_seq=expected,
            )
            done: Written = reply.json()
            written.append(done)
            if expected is not None:
                expected = done["seq"]
        return written

    @call
    def edit_turn(
        self,
        session_id: str,
        turn_id: str,
        content: Content,
        *,
        reason: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> Steps[Written]:
        """Give a turn new content; the former one stays as a revision. Of a retracted turn nothing
        changes."""
        body = {"content": content, **given({"reason": reason})}
        return one(change("PATCH", turn_path(session_id, turn_id), body, options))

    @call
    def retract_turn(
        self,
        session_id: str,
        turn_id: str,
        *,
        reason: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> Steps[Written]:
        """Take a turn out of histories, counts and search. It stays in the log."""
        return one(change("DELETE", turn_path(session_id, turn_id), None, options, reason=reason))

    @call
    def erase_turn(
        self,
        session_id: str,
        turn_id: str,
        *,
        reason: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> Steps[Written]:
        """Remove what was written in a turn (a pasted secret) for good, from the log as well. It
        goes once a projector has passed the event, not yet when this returns; `reason` stays."""
        path = turn_path(session_id, turn_id)
        return one(change("DELETE", path, None, options, reason=reason, erase=True))

    @call
    def annotate_turn(
        self,
        session_id: str,
        turn_id: str,
        kind: Literal["rating", "reaction", "comment"],
        value: bool | float | str | None,
        *,
        by: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> Steps[Written]:
        """Rate, react to or comment on a turn, as the caller or, for a service, as `by`. Of one
        person the newest rating counts. A turn lists its annotations."""
        body = {"kind": kind, "value": value, **given({"by": by})}
        return _annotate(session_id, turn_id, body, options)

    @call
    def remove_annotation(
        self,
        session_id: str,
        turn_id: str,
        kind: Literal["rating", "reaction", "comment"],
        value: bool | float | str | None = None,
        *,
        by: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> Steps[Written]:
        """Take back a rating, or the reaction or comment that is equal to `value`."""
        if kind == "rating":
            value, remove = None, None
        else:
            remove = True
        body = {"kind": kind, "value": value, **given({"by": by, "remove": remove})}
        return _annotate(session_id, turn_id, body, options)

    @call
    def context(
        self,
        session_id: str,
        *,
        last: int | None = 50,
        branch: str | None = None,
        as_of: int | Moment | None = None,
        **options: Unpack[ReadOptions],
    ) -> Steps[list[dict[str, Any]]]:
        """The newest turns (`last` of them, None: all), oldest first, as messages in the form of
        OpenAI's chat API: what a model needs to go on. It never begins with the result of a tool
        whose call is not among them; a turn still being streamed is left out, a human agent speaks
        as `assistant`. It is a strong read unless `strong=False`; `NotFound`: nothing was said
        yet."""
        strong: ReadOptions = {"strong": True, **options}
        params = {"order": "desc", "branch": branch, "as_of": as_of, **freshness(strong)}
        if as_of is not None:
            del params["consistency"]
        size = _LARGEST_PAGE if last is None else max(1, min(last, _LARGEST_PAGE))
        listing: Listing[Turn] = Listing(f"{path_of(session_id)}/turns", {**params, "limit": size})
        newest_first: list[Turn] = []
        cursor = None
        while True:
            page = yield from listing.page(cursor)
            newest_first += page.items
            cursor = page.next_cursor
            if cursor is None or (last is not None and len(newest_first) >= last):
                return context_of(newest_first[:last])


def _annotate(
    session_id: str, turn_id: str, body: dict[str, Any], options: WriteOptions
) -> Steps[Written]:
    path = f"{turn_path(session_id, turn_id)}/annotations"
    return one(change("POST", path, body, options))


def _turn(turn: Mapping[str, Any]) -> dict[str, Any]:
    """The body that appends a turn."""
    unknown = turn.keys() - TURN_FIELDS - {"role", "content"}
    if unknown:
        raise TypeError(f"unexpected argument {min(unknown)!r} for a turn")
    body = given(dict(turn))
    if "parent_turn_id" in turn:
        body["parent_turn_id"] = turn["parent_turn_id"]
    if "at" in body:
        body["at"] = moment(body["at"], "at")
    return body
