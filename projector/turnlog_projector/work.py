"""One session within a batch: its rows before, what the events of the batch make of them."""

from collections.abc import Iterable
from typing import Protocol

from turnlog_projector.log import SessionKey
from turnlog_schemas.codec import RecordedEvent
from turnlog_schemas.fold import fold
from turnlog_schemas.rows import Branch, MemoryRows, Session, Turn


class RowSource(Protocol):
    """Rows as they stand in the read models of the generation in hand."""

    def turn(self, key: SessionKey, turn_id: str) -> Turn | None: ...

    def branch(self, key: SessionKey, branch_id: str) -> Branch | None: ...

    def visible_before(
        self, key: SessionKey, seq: int, floor: int, known: list[str]
    ) -> Turn | None: ...


class SessionWork:
    """Folds events of one session; keeps the changed rows apart from those that stand already.

    `source` is None for a session that has no rows yet: then nothing is ever asked for.
    """

    def __init__(self, key: SessionKey, session: Session | None, source: RowSource | None) -> None:
        self.key = key
        self.session = session
        self.stored_seq = session["seq"] if session is not None else 0
        """How far the session is in the read models: turns from later events are new there."""
        self._source = source
        self.changed = MemoryRows()
        self._loaded: dict[str, Turn | None] = {}
        self.removed_annotations: list[tuple[str, int]] = []
        self.erased_turns: list[str] = []
        self.erased_session = False
        self.dirty = False

    def fold(self, event: RecordedEvent) -> None:
        """Fold one event, the next of this session."""
        changes = fold(self.session, self, event)
        self.session = changes.session
        self.dirty = True
        self.changed.apply(changes)
        if changes.removed_annotations:
            self.removed_annotations.extend(changes.removed_annotations)
        if changes.erased_turn_id is not None:
            self.erased_turns.append(changes.erased_turn_id)
        if changes.erased_session:
            self.erased_session = True

    @property
    def is_new(self) -> bool:
        """Whether the read models hold nothing of the session: there is nothing to prefetch."""
        return self._source is None

    def changed_turns(self) -> dict[str, Turn]:
        """The changed turns that the read models hold already."""
        if self.stored_seq == 0:
            return {}
        turns = self.changed.turns.items()
        return {id_: turn for id_, turn in turns if turn["seq"] <= self.stored_seq}

    def prefetched(self, turn_id: str, turn: Turn | None) -> None:
        """Note what the read models hold for a turn that `needs` named."""
        self._loaded[turn_id] = turn

    def unknown(self, turn_ids: Iterable[str]) -> list[str]:
        """Those of the ids that would have to be fetched."""
        if self._source is None:
            return []
        return [
            id_ for id_ in turn_ids if id_ not in self._loaded and id_ not in self.changed.turns
        ]

    def turn(self, turn_id: str) -> Turn | None:
        changed = self.changed.turn(turn_id)
        if changed is not None or self._source is None:
            return changed
        if turn_id not in self._loaded:
            self._loaded[turn_id] = self._source.turn(self.key, turn_id)
        return self._loaded[turn_id]

    def branch(self, branch_id: str) -> Branch | None:
        changed = self.changed.branch(branch_id)
        if changed is not None or self._source is None:
            return changed
        return self._source.branch(self.key, branch_id)

    def visible_before(self, seq: int, floor: int) -> Turn | None:
        best = max(
            (
                turn
                for turn in self.changed.turns.values()
                if floor < turn["seq"] < seq and turn["status"] != "retracted"
            ),
            key=lambda turn: turn["seq"],
            default=None,
        )
        if self._source is None:
            return best
        stored = self._source.visible_before(self.key, seq, floor, list(self.changed.turns))
        if best is None or (stored is not None and stored["seq"] > best["seq"]):
            return stored
        return best
