"""What Redis may lose, and a model of what must still be there afterwards."""

from collections import defaultdict
from contextlib import suppress

import redis
from appending import NewEvent, turn
from rig import dump, restore
from stage import Stage
from truth import read_archive

from turnlog_projector.audit import settle
from turnlog_projector.batch import LostPartition


class Losses:
    """Appends and losses, step by step. Every event that was acknowledged must be archived in the
    end, but for those that Redis lost before they were archived; and what was archived once stays
    at its seq."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._rig = stage.rig
        self._sent: list[tuple[str, NewEvent]] = []
        self._must: dict[str, set[str]] = defaultdict(set)
        self._archived: dict[tuple[str, int], str] = {}
        self._copy: tuple[dict[bytes, bytes], dict[str, set[str]]] | None = None

    def step(self, what: str, which: object) -> None:
        """One step by name; `which` is a session, or a number."""
        keys = self._rig.writer.keys(str(which))
        if what == "append":
            self._append(str(which), turn(f"t{len(self._sent)}"))
        elif what == "again":
            if self._sent:
                session_id, event = self._sent[int(str(which)) % len(self._sent)]
                self._append(session_id, event)
        elif what == "project":
            self._rig.drain(self._stage.workers[int(str(which))])
            self._note_archived()
        elif what == "copy":
            self._copy = dump(self._rig.client), {s: set(ids) for s, ids in self._must.items()}
        elif what == "restore":
            self._restore()
        elif what == "no ids":
            self._rig.client.delete(keys.ids)
        elif what in ("no head", "no stream"):
            # With the head goes the only trace of a session that the index may have lost as well.
            self._note_archived()
            self._must[str(which)] = {id_ for (s, _), id_ in self._archived.items() if s == which}
            if what == "no head":
                self._rig.client.hdel(keys.heads, keys.field)
            else:
                self._rig.client.delete(keys.stream)
        elif what == "no index entry" and self._rig.client.xlen(keys.index):
            self._rig.client.xdel(keys.index, self._rig.writer.newest_index_id(str(which)))

    def check(self) -> None:
        """Nothing acknowledged is missing, nothing archived has moved, nothing is twice."""
        before = dict(self._archived)
        self._note_archived()
        assert {place: self._archived[place] for place in before} == before
        found: dict[str, list[str]] = defaultdict(list)
        for (session_id, _), event_id in self._archived.items():
            found[session_id].append(event_id)
        for session_id, ids in self._must.items():
            assert ids <= set(found[session_id]), f"{session_id} lacks acknowledged events"
        for ids in found.values():
            assert len(ids) == len(set(ids)), "an event is archived twice"

    def _append(self, session_id: str, event: NewEvent) -> None:
        if (session_id, event) not in self._sent:
            self._sent.append((session_id, event))
        for _ in range(5):
            try:
                self._rig.writer.append(session_id, event)
            except redis.ResponseError as error:
                if not str(error).startswith("LOST"):
                    raise
                # What a worker does when it is woken for a session; the producer sends again.
                with suppress(LostPartition):
                    worker = self._stage.workers[0]
                    settle(worker, self._rig.key(session_id), "a producer found it damaged")
            else:
                self._must[session_id].add(event.event_id)
                return
        raise AssertionError(f"{session_id} stays damaged")

    def _restore(self) -> None:
        if self._copy is None:
            return
        copy, must = self._copy
        self._note_archived()
        restore(self._rig.client, copy)
        self._must = defaultdict(set, {s: set(ids) for s, ids in must.items()})
        for (session_id, _), event_id in self._archived.items():
            self._must[session_id].add(event_id)

    def _note_archived(self) -> None:
        for row in read_archive(self._rig.connection):
            known = self._archived.setdefault((row.session_id, row.seq), row.event_id)
            assert known == row.event_id, f"{row.session_id} seq {row.seq} became another event"
