"""Reading the read models of one generation, as folding needs them."""

from collections.abc import Iterable, Mapping, Sequence

from turnlog_projector.batch import Archived
from turnlog_projector.caching import Known
from turnlog_projector.database import Database
from turnlog_projector.log import SessionKey
from turnlog_projector.sqlfiles import statement
from turnlog_projector.tables import branch_from, columns, session_from, turn_from
from turnlog_projector.work import SessionWork
from turnlog_schemas.rows import SESSION_FOLD_ONLY, Branch, Session, Turn


class ReadModels:
    """A `RowSource` over the tables of one generation."""

    def __init__(self, connection: Database, generation: int) -> None:
        self.connection = connection
        self.generation = generation

    def heads(
        self, keys: Iterable[SessionKey]
    ) -> dict[SessionKey, tuple[Archived, Session | None]]:
        """How far each session is archived, and its row; sessions never archived are left out."""
        return {key: (k.archived, k.session) for key, k in self.known(keys, largest=None).items()}

    def known(self, keys: Iterable[SessionKey], *, largest: int | None) -> dict[SessionKey, Known]:
        """The same, but without the rows of which the body has more than `largest` bytes."""
        rows = self.connection.execute(
            statement("load_heads", generation=self.generation),
            [*columns([*keys], 3), largest],
        )
        found: dict[SessionKey, Known] = {}
        for row in rows:
            body, fold_only = row[7], row[8 : 8 + len(SESSION_FOLD_ONLY)]
            session = session_from(row[1], body, fold_only) if body is not None else None
            found[SessionKey(*row[:3])] = Known(Archived(*row[3:7]), session, row[-1])
        return found

    def archived(self, keys: Iterable[SessionKey]) -> dict[SessionKey, Archived]:
        """How far each session is archived; sessions never archived are left out."""
        rows = self.connection.execute(statement("load_archived"), columns([*keys], 3))
        return {SessionKey(*row[:3]): Archived(*row[3:]) for row in rows}

    def prefetch(
        self, wanted: Sequence[tuple[SessionWork, list[str]]], *, size: int | None = None
    ) -> dict[SessionKey, set[str]]:
        """Load the turns that the events of a batch name, in one query, as many as `size` bytes
        hold; returns the ids of those that were left out, by session. The fold asks for such a turn
        when it comes to it."""
        keys = [(w.key.tenant, w.key.session_id, id_) for w, ids in wanted for id_ in ids]
        if not keys:
            return {}
        query = statement("load_turns", generation=self.generation)
        rows = self.connection.execute(query, [size, *columns(keys, 3)])
        found = {tuple(row[:3]): row[3] for row in rows}
        left_out: dict[SessionKey, set[str]] = {}
        for work, ids in wanted:
            tenant, session_id = work.key.tenant, work.key.session_id
            for id_ in ids:
                place = (tenant, session_id, id_)
                body = found.get(place)
                if body is None and place in found:
                    left_out.setdefault(work.key, set()).add(id_)
                else:
                    work.prefetched(id_, turn_from(body) if body is not None else None)
        return left_out

    def turn(self, key: SessionKey, turn_id: str) -> Turn | None:
        body = self._one("load_turn", (key.tenant, key.session_id, turn_id))
        return turn_from(body) if body is not None else None

    def branch(self, key: SessionKey, branch_id: str) -> Branch | None:
        body = self._one("load_branch", (key.tenant, key.session_id, branch_id))
        return branch_from(body) if body is not None else None

    def visible_before(
        self, key: SessionKey, seq: int, floor: int, known: list[str]
    ) -> Turn | None:
        where = {
            "tenant": key.tenant,
            "session_id": key.session_id,
            "seq": seq,
            "floor": floor,
            "known": known,
        }
        body = self._one("load_visible_before", where)
        return turn_from(body) if body is not None else None

    def _one(self, name: str, params: tuple[str, ...] | Mapping[str, object]) -> str | None:
        query = statement(name, generation=self.generation)
        row = self.connection.execute(query, params).fetchone()
        return row[0] if row else None
