"""The rows that the fold keeps, as plain dictionaries: what read models hold and the API answers.

`Turn` and `SessionItem` are the turn and the session exactly as the API shows them. `Session` has,
beside that, what only the fold needs to go on.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple, Protocol, TypedDict

LAST_SEQ = 2**53 - 1
"""A seq that no session reaches: the open end of a branch's own range."""

TurnStatus = Literal["complete", "streaming", "interrupted", "retracted"]


class LastTurn(TypedDict):
    """The newest visible turn, for a list of sessions. `preview` is at most 160 code points."""

    role: str
    preview: str
    at: str


class SessionItem(TypedDict):
    """A session after the event `seq`, as the API shows it."""

    session_id: str
    user_id: str | None
    project: str | None
    title: str | None
    title_source: str | None
    visibility: str
    created_at: str
    updated_at: str
    turn_count: int
    last_turn: LastTurn | None
    usage: dict[str, int]
    branch_id: str | None
    archived: bool
    pinned: bool
    deleted: bool
    metadata: dict[str, Any]
    seq: int


class Session(SessionItem):
    """A session after the event `seq`, with what only the fold needs."""

    tenant: str
    event_id: str
    started: bool
    erased: bool
    floor: int
    last_turn_id: str | None
    last_turn_seq: int
    title_turn_id: str | None
    tip_turn_id: str | None
    branches: int
    ignored: int


SESSION_ITEM = (
    "session_id",
    "user_id",
    "project",
    "title",
    "title_source",
    "visibility",
    "created_at",
    "updated_at",
    "turn_count",
    "last_turn",
    "usage",
    "branch_id",
    "archived",
    "pinned",
    "deleted",
    "metadata",
    "seq",
)

SESSION_FOLD_ONLY = (
    "event_id",
    "started",
    "erased",
    "floor",
    "last_turn_id",
    "last_turn_seq",
    "title_turn_id",
    "tip_turn_id",
    "branches",
    "ignored",
)


class Turn(TypedDict):
    """A turn. `seq` is that of the event it began with; `reason` tells why it was interrupted or
    retracted; a retracted turn is a stub without content."""

    turn_id: str
    seq: int
    role: str
    content: Any
    name: str | None
    tool_calls: Any
    tool_call_id: str | None
    artifacts: Any
    model: str | None
    usage: dict[str, Any] | None
    response_time_ms: float | None
    parent_turn_id: str | None
    branch_id: str
    status: TurnStatus
    reason: str | None
    edited: bool
    annotations: list[dict[str, Any]]
    actor: dict[str, Any] | None
    at: str
    recorded_at: str
    metadata: dict[str, Any] | None


class Branch(TypedDict):
    """A branch. `path` lists, oldest first, which turns its history takes from which branch:
    `[branch_id, last seq]`, its own open-ended (`LAST_SEQ`). While a branch is the shown one, its
    tip stands in the session."""

    branch_id: str
    parent_branch_id: str | None
    fork_seq: int
    first_seq: int
    tip_turn_id: str
    path: list[tuple[str, int]]
    created_at: str


class TitleChange(TypedDict):
    """A title the session had from event `seq` on. `turn_id`: the turn it was made from."""

    seq: int
    title: str
    source: str
    turn_id: str | None
    at: str
    actor: dict[str, Any] | None


class Revision(TypedDict):
    """What event `seq` did to a turn: the fields it changed, before and after."""

    turn_id: str
    seq: int
    type: str
    reason: str | None
    before: dict[str, Any]
    after: dict[str, Any]
    at: str
    actor: dict[str, Any] | None


class Annotation(TypedDict):
    """An annotation made by event `seq`, still standing."""

    turn_id: str
    seq: int
    kind: str
    value: Any
    by: str | None
    at: str


class Changes(NamedTuple):
    """What one event does to the rows: rows to put (by their key), rows to remove."""

    session: Session
    turns: tuple[Turn, ...] = ()
    branches: tuple[Branch, ...] = ()
    titles: tuple[TitleChange, ...] = ()
    revisions: tuple[Revision, ...] = ()
    annotations: tuple[Annotation, ...] = ()
    removed_annotations: tuple[tuple[str, int], ...] = ()
    erased_turn_id: str | None = None
    """Remove this turn's revisions, its comments and the titles made from it."""
    erased_session: bool = False
    """Remove every row of the session but the session itself, a tombstone from now on."""


class Rows(Protocol):
    """The rows that the fold may look at besides the session."""

    def turn(self, turn_id: str) -> Turn | None:
        """The turn, or None when the session never had it."""
        ...

    def branch(self, branch_id: str) -> Branch | None:
        """The branch, or None."""
        ...

    def visible_before(self, seq: int, floor: int) -> Turn | None:
        """The newest turn that is not retracted, with floor < its seq < seq."""
        ...


class MemoryRows:
    """All rows of one session in memory: for time travel, tests, and sessions of moderate size."""

    def __init__(self) -> None:
        self.turns: dict[str, Turn] = {}
        self.branches: dict[str, Branch] = {}
        self.titles: dict[int, TitleChange] = {}
        self.revisions: dict[tuple[str, int], Revision] = {}
        self.annotations: dict[tuple[str, int], Annotation] = {}

    def turn(self, turn_id: str) -> Turn | None:
        return self.turns.get(turn_id)

    def branch(self, branch_id: str) -> Branch | None:
        return self.branches.get(branch_id)

    def visible_before(self, seq: int, floor: int) -> Turn | None:
        for turn in reversed(self.turns.values()):  # a turn enters at its seq: this is seq order
            if floor < turn["seq"] < seq and turn["status"] != "retracted":
                return turn
        return None

    def apply(self, changes: Changes) -> None:
        """Take the changes in."""
        _, turns, branches, titles, revisions, annotations, removed, erased_turn_id, erased = (
            changes
        )
        for turn in turns:
            self.turns[turn["turn_id"]] = turn
        for branch in branches:
            self.branches[branch["branch_id"]] = branch
        for title in titles:
            self.titles[title["seq"]] = title
        for revision in revisions:
            self.revisions[revision["turn_id"], revision["seq"]] = revision
        for annotation in annotations:
            self.annotations[annotation["turn_id"], annotation["seq"]] = annotation
        for key in removed:
            self.annotations.pop(key, None)
        if erased_turn_id is not None:
            self._erase_turn(erased_turn_id)
        if erased:
            for table in (self.turns, self.branches, self.titles, self.revisions, self.annotations):
                table.clear()

    def _erase_turn(self, turn_id: str) -> None:
        self.revisions = {k: v for k, v in self.revisions.items() if k[0] != turn_id}
        self.annotations = {k: v for k, v in self.annotations.items() if k[0] != turn_id}
        self.titles = {k: v for k, v in self.titles.items() if v["turn_id"] != turn_id}


def session_item(session: Session) -> dict[str, Any]:
    """The session as the API shows it."""
    fields: Mapping[str, Any] = session
    return {key: fields[key] for key in SESSION_ITEM}


def history(rows: MemoryRows, session: Session) -> Iterator[Turn]:
    """The visible turns of the shown branch, by seq."""
    if session["branch_id"] is None:
        return
    upto = dict(rows.branches[session["branch_id"]]["path"])
    for turn in rows.turns.values():
        if (
            session["floor"] < turn["seq"] <= upto.get(turn["branch_id"], 0)
            and turn["status"] != "retracted"
        ):
            yield turn
