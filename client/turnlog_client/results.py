"""What calls give: dictionaries exactly as the API sends them, so a field that only a newer API
knows is there as well. Times are RFC 3339, UTC."""

from dataclasses import dataclass
from typing import Any, Generic, Literal, NotRequired, TypedDict, TypeVar

from turnlog_client.requests import Freshness, Reply
from turnlog_schemas import rows
from turnlog_schemas.rows import LastTurn, Revision, Turn, TurnStatus

__all__ = [
    "Answer",
    "Branch",
    "Cleared",
    "DayStats",
    "Export",
    "FailedSession",
    "Figures",
    "Health",
    "LastTurn",
    "ModelStats",
    "Project",
    "RatingCount",
    "RatingStats",
    "Readiness",
    "Rebuild",
    "ResponseTimes",
    "Revision",
    "SearchItem",
    "SearchLag",
    "Session",
    "SnippetPart",
    "Statistics",
    "Status",
    "StoredEvent",
    "TitleChange",
    "Turn",
    "TurnStatus",
    "UserErased",
    "Written",
]

T = TypeVar("T")
Session = rows.SessionItem


class Written(TypedDict):
    """What a write has done."""

    session_id: str
    seq: int
    event_id: str
    turn_id: str | None
    """None for what is no event of a turn."""
    repeat: bool
    """An earlier request with this key had done it: nothing was written now."""


class Cleared(Written):
    hidden: int | None
    """How many turns were hidden; None for a repeat, or while Postgres is down."""


class TitleChange(rows.TitleChange):
    before: str | None
    """The title that it replaced."""


class Branch(TypedDict):
    """A branch. `path` lists which turns its history takes from which branch, oldest first:
    `[branch_id, up to which seq]`, None for all. `fork_seq` is the turn of its parent that it
    follows, 0: none."""

    branch_id: str
    parent_branch_id: str | None
    fork_seq: int
    first_seq: int
    tip_turn_id: str
    path: list[tuple[str, int | None]]
    created_at: str
    actor: dict[str, Any] | None
    shown: bool


class StoredEvent(TypedDict):
    """An event as it is stored, with its place in the log. Bytes that are no event stand in
    `base64`, with a `note`: then the rest is missing."""

    seq: int
    recorded_at: str
    event_id: str
    type: NotRequired[str]
    version: NotRequired[int]
    at: NotRequired[str]
    actor: NotRequired[dict[str, Any] | None]
    data: NotRequired[dict[str, Any]]
    repeat_of: NotRequired[int | None]
    """The seq of an earlier event with the same id: this one folds to nothing."""
    erased: NotRequired[int | None]
    """Of a stub: the seq of the event that erased the rest."""
    base64: NotRequired[str]
    note: NotRequired[str]


class Project(TypedDict):
    """A project; None: the sessions without one."""

    project: str | None
    session_count: int
    turn_count: int
    updated_at: str


class SnippetPart(TypedDict):
    """A piece of a snippet, as plain text: escape it before it goes into a page."""

    text: str
    hit: bool
    """This is what was looked for."""


class SearchItem(TypedDict):
    """A turn that was found, or the title of a session (then what tells of a turn is None)."""

    session_id: str
    turn_id: str | None
    seq: int | None
    role: str | None
    at: str
    title: str | None
    snippet: list[SnippetPart]
    rank: float
    branch_id: str | None


class SearchLag(TypedDict):
    """What search does not show yet."""

    events: int
    sessions: int
    seconds: float


class FailedSession(TypedDict):
    """A session that could not be erased, and why."""

    session_id: str
    detail: str


class UserErased(TypedDict):
    user_id: str
    erased: int
    """Sessions that this request has erased."""
    failed: list[FailedSession]
    """Ask again when there are any."""


class Rebuild(TypedDict):
    """A rebuild as it stands; `done` of `total` events are gone through in this phase."""

    rebuild_id: int
    state: Literal["waiting", "running", "done", "failed", "cancelled"]
    session_id: str | None
    until: str | None
    name: str | None
    requested_by: str
    requested_at: str
    started_at: str | None
    ended_at: str | None
    attempts: int
    cancel: bool
    phase: str | None
    done: int
    total: int
    generation: int | None
    former: int | None
    digest: str | None
    error: str | None


class Export(TypedDict):
    """An export as it stands. `done` of `total` turns are written, in jsonl events; so are
    `sessions` of `total_sessions`. `missing`: named sessions that the caller may not see."""

    export_id: str
    state: Literal["waiting", "running", "done", "failed", "expired"]
    format: Literal["jsonl", "json", "csv", "md"]
    options: dict[str, Any]
    requested_by: str
    requested_at: str
    started_at: str | None
    ended_at: str | None
    expires_at: str | None
    attempts: int
    sessions: int
    total_sessions: int
    missing: int
    done: int
    total: int
    bytes: int
    file: str | None
    error: str | None


class ModelStats(TypedDict):
    """One model; None: turns that spent tokens and name none."""

    model: str | None
    turns: int
    usage: dict[str, int]


class ResponseTimes(TypedDict):
    """Percentiles of the response times that are known, in milliseconds; None when none is."""

    count: int
    p50: float | None
    p95: float | None
    p99: float | None


class RatingCount(TypedDict):
    value: float
    count: int


class RatingStats(TypedDict):
    """Ratings of the turns of the time; true counts as 1, false as 0."""

    count: int
    average: float | None
    by_value: list[RatingCount]


class Figures(TypedDict):
    turns: int
    by_role: dict[str, int]
    active_sessions: int
    active_users: int
    usage: dict[str, int]
    by_model: list[ModelStats]
    response_time_ms: ResponseTimes
    ratings: RatingStats


class DayStats(Figures):
    day: str
    """Such as 2026-01-31, in the time zone that was asked for."""


class Statistics(TypedDict):
    """Days without turns are there, with zeros. `since` <= at < `until`."""

    since: str
    until: str
    tz: str
    total: Figures
    """The whole range; somebody active on two days counts once."""
    days: list[DayStats]


class Status(TypedDict):
    """How far the read models are behind the log, what there is, what an operator has to do."""

    log_id: str | None
    same_log: bool | None
    generation: int | None
    lag: dict[str, Any]
    search: dict[str, float] | None
    totals: dict[str, int | None]
    healings: dict[str, Any] | None
    stopped: dict[str, Any] | None
    audited_since: str | None
    redis: dict[str, Any]
    postgres: dict[str, Any]
    partitions: list[dict[str, Any]]
    advice: list[str]


class Health(TypedDict):
    status: str


class Readiness(TypedDict):
    ready: bool
    checks: dict[str, str | None]
    """What is wrong, by server; None: nothing."""


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """A result, and what the answer says about it."""

    value: T
    status: int
    """202: a write stands that `ack="projected"` has not seen in the read models in time."""
    freshness: Freshness
    as_of: int | None
    """With `as_of`: the seq that the answer shows."""
    etag: str | None
    request_id: str | None


class LastReply:
    """Makes an `Answer` of the last reply of a call."""

    def __init__(self) -> None:
        self._reply: Reply | None = None

    def keep(self, reply: Reply) -> None:
        self._reply = reply

    def answer(self, value: T) -> Answer[T]:
        reply = self._reply
        if reply is None:  # a call that had nothing to ask
            return Answer(value, 200, Freshness(None, None), as_of=None, etag=None, request_id=None)
        freshness = reply.freshness
        return Answer(value, reply.status, freshness, reply.as_of, reply.etag, reply.request_id)
