"""Decoding and folding stored events; what cannot be decoded or folded parks its session."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from turnlog_projector.batch import Parked
from turnlog_projector.log import SessionKey, StoredEvent
from turnlog_projector.readmodels import ReadModels
from turnlog_projector.work import SessionWork
from turnlog_schemas.codec import RecordedEvent, decode
from turnlog_schemas.errors import InvalidEvent
from turnlog_schemas.fold import needs


class Decoded(NamedTuple):
    """Decoded events of one session, up to the first that cannot be decoded."""

    events: list[RecordedEvent]
    stopped: Parked | None


def decode_all(key: SessionKey, stored: Iterable[StoredEvent]) -> Decoded:
    """Decode events of one session as far as possible."""
    events: list[RecordedEvent] = []
    for event in stored:
        try:
            events.append(decode_stored(key, event, None))
        except InvalidEvent as error:
            return Decoded(events, Parked(key, event.seq, event.event_id, str(error)))
    return Decoded(events, None)


def decode_stored(key: SessionKey, event: StoredEvent, repeat_of: int | None) -> RecordedEvent:
    """Decode a stream or archive entry. Raises `InvalidEvent`."""
    decoded = decode(
        event.raw,
        tenant=key.tenant,
        session_id=key.session_id,
        seq=event.seq,
        recorded_at=event.recorded_at,
        repeat_of=repeat_of,
    )
    if decoded.event_id != event.event_id:
        raise InvalidEvent("event_id: the entry and the event in it name different ids")
    return decoded


ToFold = tuple[SessionWork, list[RecordedEvent]]
"""A session, and its next events."""


def fold_all(models: ReadModels, wanted: Sequence[ToFold]) -> list[Parked]:
    """Fold the events of each session into its work; returns the events at which folding had to
    stop, at most one a session. The turns that they name are read at once, before."""
    prefetch(models, wanted, size=None)
    return fold_prefetched(wanted)


def prefetch(
    models: ReadModels, wanted: Sequence[ToFold], *, size: int | None
) -> dict[SessionKey, set[str]]:
    """Read the turns that the events name, as many as `size` bytes hold; returns which were left
    out, by session: fold fewer events of such a session at once."""
    return models.prefetch(
        [
            (work, work.unknown(dict.fromkeys(id_ for event in events for id_ in needs(event))))
            for work, events in wanted
            if not work.is_new
        ],
        size=size,
    )


def prefetch_some(
    models: ReadModels, work: SessionWork, events: Sequence[RecordedEvent], *, size: int
) -> int:
    """Read the turns that events of one session name, as many as `size` bytes hold; returns how
    many of the events can be folded with those: at least the first."""
    left_out = prefetch(models, [(work, list(events))], size=size).get(work.key)
    if left_out:
        for place, event in enumerate(events):
            if place and not left_out.isdisjoint(needs(event)):
                return place
    return len(events)


def fold_prefetched(wanted: Iterable[ToFold]) -> list[Parked]:
    """The same as `fold_all`; the turns have been read."""
    stopped = (_fold(work, events) for work, events in wanted)
    return [parked for parked in stopped if parked is not None]


def _fold(work: SessionWork, events: list[RecordedEvent]) -> Parked | None:
    """A fault of the fold itself must not stop the other sessions: it parks this one, and folds
    again by `turnlog parked retry` once it is mended."""
    for event in events:
        try:
            work.fold(event)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            where = error.__traceback__
            while where is not None and where.tb_next is not None:
                where = where.tb_next
            line = where.tb_lineno if where is not None else 0
            reason = f"the fold failed: {type(error).__name__} (line {line})"
            return Parked(work.key, event.seq, event.event_id, reason)
    return None
