"""Writes: every one is one event, appended by the producer client. Postgres may be down."""

import asyncio
from collections.abc import Mapping
from typing import Any

from pydantic_core import from_json
from starlette.requests import Request
from starlette.responses import Response

from turnlog_api.asof import time_of
from turnlog_api.auth import SERVICE, Caller
from turnlog_api.bodies import read_body
from turnlog_api.idempotency import Claims, Draft, StoredEvents, event_id_for
from turnlog_api.logreads import LogReads, head_of
from turnlog_api.metrics import ApiMetrics
from turnlog_api.models import AnnotationIn, SessionIn, SessionPatch, TurnIn, TurnPatch
from turnlog_api.params import (
    DeleteParams,
    RetractParams,
    WriteParams,
    expected_seq,
    idempotency_key,
    read_params,
)
from turnlog_api.problems import Problem, no_session
from turnlog_api.queries import Window, session, turn_known
from turnlog_api.reading import Reader
from turnlog_api.replies import written
from turnlog_api.settings import ApiSettings
from turnlog_api.strong import StrongReads
from turnlog_api.waiting import Waits, projected
from turnlog_producers import AsyncTurnLog
from turnlog_producers.core import Appended
from turnlog_producers.errors import Conflict, NotOwner, Refused
from turnlog_producers.head import Head
from turnlog_projector.errors import ServerUnavailable
from turnlog_schemas.errors import InvalidEvent, TurnlogError
from turnlog_schemas.ids import derived_id

_SEQ_PATIENCE_S = 0.05
"""A reply waits no longer than this for the projected seq: a write does not need Postgres."""

_CLEAR_ATTEMPTS = 5


class Writer:
    """Writes of requests. Raises `Problem` and the errors of the producer client."""

    def __init__(
        self,
        settings: ApiSettings,
        log: LogReads,
        reader: Reader,
        waits: Waits,
        strong: StrongReads,
        metrics: ApiMetrics,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._log = log
        self._reader = reader
        self._waits = waits
        self._strong = strong
        self._stored = StoredEvents(log, reader)
        self._claims = Claims(log)
        self._background: set[asyncio.Task[int | None]] = set()
        self.turnlog = AsyncTurnLog.connect(
            settings.redis_url,
            partitions=settings.partitions,
            max_event_bytes=settings.max_event_bytes,
            timeout_s=2.0,
            retry_s=2.0,
        )

    async def close(self) -> None:
        await self.turnlog.close()
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)

    async def begin(self, caller: Caller, request: Request) -> Response:
        """Begin a session: nothing may be in it yet."""
        body = await read_body(request, SessionIn)
        caller = _for_user(caller, body.pop("user_id", None))
        event_id = _event_id(caller, request)
        session_id = body.pop("session_id", None) or derived_id(event_id, "session")
        data = {name: value for name, value in body.items() if value is not None}
        if caller.user_id is not None:
            data = {"user_id": caller.user_id, **data}
        draft = Draft(session_id, event_id, "session.started", data)
        has_key = idempotency_key(request) is not None
        if has_key:
            await self._claims.claim(caller.tenant, draft)
        try:
            return await self._write(caller, request, draft, otherwise_expected=0)
        except (Conflict, InvalidEvent, Refused) as error:
            if has_key:
                await self._claims.release(caller.tenant, draft)
            if not isinstance(error, Conflict | NotOwner):
                raise
            if expected_seq(request) is not None:
                raise
            raise Problem(
                "session-exists",
                "session_id: is taken; choose another, or none and one is made up",
                session_id=session_id,
            ) from None

    async def append_turn(self, caller: Caller, request: Request, session_id: str) -> Response:
        """Append a whole turn; the session begins with it when there is none."""
        data = await read_body(request, TurnIn)
        event_id = _event_id(caller, request)
        at, actor, trace = (data.pop(name, None) for name in ("at", "actor", "trace"))
        if actor is not None and not caller.trusted:
            raise Problem(
                "forbidden", f"actor: naming one needs the scope `{SERVICE}`", scope=SERVICE
            )
        if data.get("turn_id") is None:
            data["turn_id"] = event_id
        draft = Draft(
            session_id,
            event_id,
            "turn.appended",
            data,
            None if at is None else _time(at),
            actor,
            trace,
        )
        return await self._write(caller, request, draft)

    async def change(self, caller: Caller, request: Request, session_id: str) -> Response:
        """Change fields of a session."""
        body = await read_body(request, SessionPatch)
        data = {name: value for name, value in body.items() if value is not None}
        if not data.keys() - {"title_source"}:
            raise Problem("invalid", "the body names nothing to change")
        if "branch" in data:
            await self._check_branch(caller, session_id, data["branch"])
        draft = Draft(session_id, _event_id(caller, request), "session.updated", data)
        return await self._write(caller, request, draft, must_exist=True, creates=False)

    async def edit(
        self, caller: Caller, request: Request, session_id: str, turn_id: str
    ) -> Response:
        """Give a turn new content."""
        body = await read_body(request, TurnPatch)
        data = {"turn_id": turn_id, "content": body["content"], **_given(body, "reason")}
        await self._check_turn(caller, session_id, turn_id)
        draft = Draft(session_id, _event_id(caller, request), "turn.edited", data)
        return await self._write(caller, request, draft, must_exist=True, creates=False)

    async def retract(
        self, caller: Caller, request: Request, session_id: str, turn_id: str
    ) -> Response:
        """Take a turn out of histories, or with `erase` what was written in it out of the log."""
        params = read_params(request, RetractParams)
        type_ = "turn.erased" if params.erase else "turn.retracted"
        data = {"turn_id": turn_id, **_given(params.model_dump(), "reason")}
        await self._check_turn(caller, session_id, turn_id)
        draft = Draft(session_id, _event_id(caller, request), type_, data)
        return await self._write(
            caller, request, draft, must_exist=True, creates=False, kind=RetractParams
        )

    async def annotate(
        self, caller: Caller, request: Request, session_id: str, turn_id: str
    ) -> Response:
        """Rate, react to or comment on a turn; `by` is the caller unless the body names another."""
        body = await read_body(request, AnnotationIn)
        by = body.get("by") or caller.user_id
        if by != caller.user_id and not caller.trusted:
            raise Problem(
                "forbidden", f"by: naming another needs the scope `{SERVICE}`", scope=SERVICE
            )
        data = {"turn_id": turn_id, "kind": body["kind"], "value": body.get("value")}
        data |= _given({**body, "by": by}, "by", "remove")
        await self._check_turn(caller, session_id, turn_id)
        draft = Draft(session_id, _event_id(caller, request), "turn.annotated", data)
        return await self._write(caller, request, draft, must_exist=True)

    async def _check_turn(self, caller: Caller, session_id: str, turn_id: str) -> None:
        """404 when the session has no such turn. Without Postgres nobody can tell: such an event
        changes nothing."""
        asked = self._log.ask_head(caller.tenant, session_id)
        question = turn_known(caller.scope, session_id, turn_id)
        try:
            seq, status = await self._reader.fetch(question)
            head = await head_of(asked)
            if seq == 0 and not caller.may_own(head):
                raise no_session()
            if status is None and head is not None and seq < head.seq:
                await self._waits.projected(
                    caller.tenant,
                    session_id,
                    head.seq,
                    timeout_s=self._settings.wait_seconds,
                )
                seq, status = await self._reader.fetch(question)
                if seq < head.seq:
                    return
        except ServerUnavailable:
            return
        if seq == 0:
            raise no_session()
        if status is None:
            raise Problem("not-found", "turn_id: the session has no such turn")

    async def _check_branch(self, caller: Caller, session_id: str, branch_id: str) -> None:
        """Refuse a branch that the session does not have: to show it would change nothing."""
        window = Window(limit=1, branch=branch_id)
        page = await self._strong.turns(caller.scope, session_id, window)
        if page is None:
            raise no_session()
        if not page.branch_found:
            detail = "the session has no such branch"
            fault = {"pointer": "/branch", "detail": detail}
            raise Problem("invalid", f"/branch: {detail}", errors=[fault])

    async def delete(self, caller: Caller, request: Request, session_id: str) -> Response:
        """Delete a session softly."""
        draft = Draft(session_id, _event_id(caller, request), "session.deleted", {})
        return await self._write(
            caller, request, draft, must_exist=True, creates=False, kind=DeleteParams
        )

    async def restore(self, caller: Caller, request: Request, session_id: str) -> Response:
        """Undo a delete."""
        draft = Draft(session_id, _event_id(caller, request), "session.restored", {})
        return await self._write(caller, request, draft, must_exist=True)

    async def erase(self, caller: Caller, request: Request, session_id: str) -> Response:
        """Erase a session for good. That it is erased already is told to whoever has erased it by
        the same request, or may know: nobody owns an erased session any more."""
        draft = Draft(session_id, _event_id(caller, request), "session.erased", {})
        head = await self._log.head(caller.tenant, session_id)
        if head is None or not head.erased:
            return await self._write(
                caller, request, draft, must_exist=True, creates=False, kind=DeleteParams
            )
        if caller.user_id not in (None, head.owner) and head.event_id != draft.event_id:
            raise no_session()
        expected_seq(request)  # a repeat names the seq before it, but a bad header is refused
        appended = Appended(session_id, head.seq, head.event_id, None, True, None)
        shown = self._projected_seq(caller.tenant, session_id)
        seq, in_time = await self._shown(
            read_params(request, DeleteParams), caller.tenant, appended, shown
        )
        return written(appended, 200 if in_time else 202, {}, seq=seq, head=head.seq)

    async def clear(self, caller: Caller, request: Request, session_id: str) -> Response:
        """Hide the turns so far, and say how many those were: the event is only written at the seq
        at which they were counted."""
        draft = Draft(session_id, _event_id(caller, request), "session.cleared", {})
        for _ in range(_CLEAR_ATTEMPTS):
            try:
                counted = await self._strong.session(caller.scope, session_id)
            except (ServerUnavailable, Problem):
                break
            if counted is None:
                raise no_session()
            turns = from_json(counted.body)["turn_count"]
            try:
                return await self._write(
                    caller,
                    request,
                    draft,
                    must_exist=True,
                    otherwise_expected=counted.seq,
                    more={"hidden": turns},
                )
            except Conflict:
                if expected_seq(request) is not None:
                    raise
        return await self._write(caller, request, draft, must_exist=True, more={"hidden": None})

    async def _write(
        self,
        caller: Caller,
        request: Request,
        draft: Draft,
        *,
        must_exist: bool = False,
        creates: bool = True,
        otherwise_expected: int | None = None,
        more: Mapping[str, Any] | None = None,
        kind: type[WriteParams] = WriteParams,
    ) -> Response:
        params = read_params(request, kind)
        has_key = idempotency_key(request) is not None
        head: Head | None = None
        if must_exist or has_key:
            head = await self._log.head(caller.tenant, draft.session_id)
        if must_exist and (head is None or head.erased):
            raise no_session()
        shown = self._projected_seq(caller.tenant, draft.session_id)
        first = await self._stored.seq_of(caller.tenant, draft, head) if has_key else None
        if first is not None:
            self._check_owner(caller, head)
            appended = Appended(
                draft.session_id, first, draft.event_id, draft.data.get("turn_id"), True, None
            )
        else:
            expected = expected_seq(request)
            if expected is None:
                expected = otherwise_expected
            appended = await self._append(caller, draft, expected)
        if appended.repeat:
            await self._stored.check_same(caller.tenant, draft, appended.seq)
            more = dict.fromkeys(more or {})
        status = 201 if creates and not appended.repeat else 200
        seq, in_time = await self._shown(params, caller.tenant, appended, shown)
        return written(
            appended,
            status if in_time else 202,
            more or {},
            seq=seq,
            head=await self._head_seq(caller, appended),
        )

    async def _append(self, caller: Caller, draft: Draft, expected: int | None) -> Appended:
        chat = self.turnlog.session(
            draft.session_id,
            tenant=caller.tenant,
            user_id=caller.user_id,
            as_user=caller.user_id,
            actor=caller.actor(),
        )
        try:
            appended = await chat.append(
                draft.type,
                draft.data,
                event_id=draft.event_id,
                at=draft.at,
                actor=draft.actor,
                trace=draft.trace,
                expected_seq=expected,
            )
            self._metrics.count_append(repeat=appended.repeat)
            return appended
        except NotOwner:
            if draft.type != "session.started" and await self._may_read(caller, draft.session_id):
                raise Problem(
                    "forbidden", "the session belongs to another user: it may be read only"
                ) from None
            raise

    async def _may_read(self, caller: Caller, session_id: str) -> bool:
        try:
            return await self._reader.fetch(session(caller.scope, session_id)) is not None
        except TurnlogError:
            return False

    def _check_owner(self, caller: Caller, head: Head | None) -> None:
        if caller.user_id is not None and (head is None or head.owner != caller.user_id):
            raise no_session()

    async def _head_seq(self, caller: Caller, appended: Appended) -> int | None:
        if not appended.repeat:
            return appended.seq
        head = await head_of(self._log.ask_head(caller.tenant, appended.session_id))
        return None if head is None else head.seq

    async def _shown(
        self,
        params: WriteParams,
        tenant: str,
        appended: Appended,
        asked: "asyncio.Task[int | None]",
    ) -> tuple[int | None, bool]:
        """How far the session is projected, and whether that is as far as was asked for."""
        seq = await self._shown_seq(asked)
        if params.ack != "projected":
            return seq, True
        seq = await self._wait(tenant, appended) or seq
        return seq, seq is not None and seq >= appended.seq

    async def _wait(self, tenant: str, appended: Appended) -> int | None:
        try:
            return await self._waits.projected(
                tenant,
                appended.session_id,
                appended.seq,
                timeout_s=self._settings.wait_seconds,
            )
        except TurnlogError:
            return None

    def _projected_seq(self, tenant: str, session_id: str) -> "asyncio.Task[int | None]":
        """Ask meanwhile how far the session is projected."""

        async def ask() -> int | None:
            try:
                [seq] = await self._reader.fetch(projected([(tenant, session_id)]))
                return seq
            except TurnlogError:
                return None

        task = asyncio.create_task(ask(), name="turnlog projected seq")
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    async def _shown_seq(self, task: "asyncio.Task[int | None]") -> int | None:
        done, _ = await asyncio.wait([task], timeout=_SEQ_PATIENCE_S)
        return task.result() if done else None


def _given(values: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: values[name] for name in names if values.get(name) is not None}


def _time(at: str) -> str:
    try:
        return time_of(at)
    except ValueError as error:
        fault = {"pointer": "/at", "detail": str(error)}
        raise Problem("invalid", f"/at: {error}", errors=[fault]) from None


def _event_id(caller: Caller, request: Request) -> str:
    return event_id_for(caller, request.method, request.url.path, idempotency_key(request))


def _for_user(caller: Caller, user_id: str | None) -> Caller:
    """The caller, acting for the user that the body names."""
    if user_id is None or user_id == caller.user_id:
        return caller
    if not caller.trusted or caller.user_id is not None:
        raise Problem(
            "forbidden", f"user_id: naming another needs the scope `{SERVICE}`", scope=SERVICE
        )
    return caller._replace(user_id=user_id)
