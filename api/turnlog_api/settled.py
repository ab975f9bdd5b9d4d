"""Reads on one session as the request wants them: at once, strong, or not before a seq."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from turnlog_api.auth import Caller
from turnlog_api.logreads import head_of
from turnlog_api.params import ReadParams
from turnlog_api.problems import Problem, no_session
from turnlog_api.queries import OnSession
from turnlog_api.service import Service
from turnlog_producers.head import Head

A = TypeVar("A", bound=OnSession)
Read = Callable[[], Awaitable[A | None]]


async def settled(
    service: Service,
    caller: Caller,
    session_id: str,
    params: ReadParams,
    plain: Read[A],
    strong: Read[A],
) -> tuple[A, Head | None]:
    """The answer and the head of the log. Raises a 404 when there is nothing the caller may see,
    409 `behind-head` for a `min_seq` that the log does not hold, 504 when it was not projected."""
    asked = service.log.ask_head(caller.tenant, session_id)
    answer = await (plain() if params.consistency == "eventual" else strong())
    head = await head_of(asked)
    wanted = params.min_seq
    if wanted is not None and (answer is None or answer.seq < wanted):
        if answer is None and not caller.may_own(head):
            raise no_session()
        if head is not None and head.seq < wanted:
            raise Problem(
                "behind-head",
                f"min_seq {wanted}: the log of the session ends at seq {head.seq}",
                head=head.seq,
            )
        answer = await _wait(service, caller, session_id, wanted, plain)
    if answer is None:
        raise no_session()
    return answer, head


async def _wait(
    service: Service, caller: Caller, session_id: str, wanted: int, plain: Read[A]
) -> A | None:
    timeout_s = service.settings.wait_seconds
    reached = await service.waits.projected(caller.tenant, session_id, wanted, timeout_s=timeout_s)
    if reached is None:
        raise Problem(
            "not-projected",
            f"min_seq {wanted}: the read models did not get there within {timeout_s:g} s; ask "
            "again, or with consistency=strong",
        )
    return await plain()
