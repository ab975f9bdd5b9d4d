"""A session and its turns as they were after one of its events, from the timeline and the log."""

from pydantic_core import to_json

from turnlog_api.logsteps import Decoder, Steps, Unfoldable
from turnlog_api.queries import SessionAnswer, TurnsPage, Window
from turnlog_api.timeline import Timeline
from turnlog_api.walking import Walk, read_turns
from turnlog_schemas.rows import Session, session_item

_READ_TURNS = 100


def extend(timeline: Timeline, decoder: Decoder, upto: int) -> Steps[Timeline]:
    """A longer timeline, up to an event, or to the one before that which cannot be folded.

    Raises `Gap`.
    """
    longer = timeline.copy()
    yield from Walk(longer, decoder, longer.session, extends=True).steps(upto)
    return longer


def moment(timeline: Timeline, decoder: Decoder, at: int) -> Steps[Session]:
    """The session after event `at`, which the timeline holds unless that cannot be folded.

    Raises `Unfoldable`, `Gap`.
    """
    if at > timeline.upto:
        raise Unfoldable(timeline.upto + 1)
    walk = Walk(timeline, decoder, timeline.nearest(at), extends=False)
    stopped = yield from walk.steps(at)
    if stopped is not None:
        raise Unfoldable(stopped)
    assert walk.session is not None, "a session stands from its first event on"
    return walk.session


def session_answer(session: Session) -> SessionAnswer:
    """The session as the API shows it."""
    return SessionAnswer(session["seq"], session["event_id"], to_json(session_item(session)))


def turns_page(
    timeline: Timeline, decoder: Decoder, session: Session, window: Window
) -> Steps[TurnsPage]:
    """A page of the turns of a moment. Raises `Gap`."""
    at, seq_id = session["seq"], session["event_id"]
    path: dict[int, int] | None = None
    if session["branches"] > 1 or window.branch is not None:
        shown = window.branch or session["branch_id"]
        branch = None
        if shown is not None and not session["erased"]:
            branch = timeline.find_branch(shown, at)
        if branch is None and window.branch is not None:
            return TurnsPage(at, seq_id, b"", 0, None, branch_found=False)
        path = {} if branch is None else timeline.path(branch)
    turns = _select(timeline, session, window, path)
    more = len(turns) > window.limit
    turns = turns[: window.limit]
    items: list[bytes] = []
    for start in range(0, len(turns), _READ_TURNS):
        some = turns[start : start + _READ_TURNS]
        found = yield from read_turns(timeline, decoder, some, at, parents=True)
        items += [to_json(turn) for turn, _ in found]
    total = session["turn_count"] if path is None else _count(timeline, session, path)
    last_seq = timeline.starts[turns[-1]] if more else None
    return TurnsPage(at, seq_id, b",".join(items), total, last_seq)


def _select(
    timeline: Timeline, session: Session, window: Window, path: dict[int, int] | None
) -> list[int]:
    """The turns of the window, in its order, and one more if there is one."""
    at = session["seq"]
    after = max(window.after, session["floor"])
    within = timeline.between(after, min(window.before, at + 1))
    found: list[int] = []
    for turn in reversed(within) if window.descending else within:
        if _shows(timeline, turn, at, path, retracted=window.retracted):
            found.append(turn)
            if len(found) > window.limit:
                break
    return found


def _count(timeline: Timeline, session: Session, path: dict[int, int]) -> int:
    at = session["seq"]
    turns = timeline.between(session["floor"], at + 1)
    return sum(_shows(timeline, turn, at, path, retracted=False) for turn in turns)


def _shows(
    timeline: Timeline, turn: int, at: int, path: dict[int, int] | None, *, retracted: bool
) -> bool:
    if not retracted and not timeline.visible(turn, at):
        return False
    return path is None or timeline.starts[turn] <= path.get(timeline.branch_of[turn], 0)
