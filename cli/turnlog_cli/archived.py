"""The log of one session, as far as it is archived: its events, and what it was after any."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from pydantic_core import from_json

from turnlog_api import moments
from turnlog_api.asof import AsOf
from turnlog_api.logitems import event_item
from turnlog_api.logsteps import ArchiveReader, Decoder, Gap, Span, Unfoldable, run
from turnlog_api.queries import Window
from turnlog_api.statements import sql
from turnlog_api.timeline import Timeline
from turnlog_projector.archive import skipped_events
from turnlog_projector.database import Database
from turnlog_projector.errors import NotReady
from turnlog_projector.log import SessionKey
from turnlog_projector.sqlfiles import statement
from turnlog_schemas.errors import TurnlogError
from turnlog_schemas.ids import partition_of
from turnlog_schemas.rows import session_item


class NoSuchMoment(TurnlogError):
    """The session has no event there, or none that can be shown."""


class Then(NamedTuple):
    """A session as it was: its item, its newest turns, oldest first, and how many it had."""

    session: dict[str, Any]
    turns: list[dict[str, Any]]
    total: int


class ArchivedLog:
    """Reads over one plain connection. Whether the session may be seen is the caller's to know."""

    def __init__(self, connection: Database, tenant: str, session_id: str) -> None:
        row = connection.execute(sql("partitions", 0)).fetchone()
        if row is None:
            raise NotReady("the database belongs to no log yet: run `turnlog init`")
        self.key = SessionKey(partition_of(tenant, session_id, row[0]), tenant, session_id)
        self._connection = connection
        self._read = ArchiveReader(connection, self.key)
        text = statement("archived_end", package="turnlog_cli")
        end = connection.execute(text, self.key._asdict()).fetchone()
        self.end: int = end[0] if end else 0
        """The seq of the last archived event; 0: there is none."""

    def seq_of(self, as_of: AsOf) -> int:
        """The event that a moment is after. Raises `NoSuchMoment`."""
        if as_of.seq is not None:
            if not 1 <= as_of.seq <= self.end:
                raise NoSuchMoment(
                    f"session {self.key.session_id} has the events 1 to {self.end} in the archive,"
                    f" not {as_of.seq}"
                )
            return as_of.seq
        params = {**self.key._asdict(), "last": self.end, "moment": as_of.moment}
        row = self._connection.execute(sql("seq_at", 0), params).fetchone()
        if row is None or not row[0]:
            raise NoSuchMoment(
                f"session {self.key.session_id} has no event that was recorded by then"
            )
        return row[0]

    def then(self, seq: int, limit: int) -> Then:
        """The session after event `seq`. Raises `NoSuchMoment` when that cannot be folded."""
        decoder = Decoder(self.key, skipped_events(self._connection, self.key))
        try:
            timeline = run(moments.extend(Timeline(), decoder, seq), self._read)
            session = run(moments.moment(timeline, decoder, seq), self._read)
            window = Window(descending=True, limit=limit)
            page = run(moments.turns_page(timeline, decoder, session, window), self._read)
        except Unfoldable as error:
            raise NoSuchMoment(
                f"event {error.seq} of session {self.key.session_id} cannot be folded: only what"
                " was before it can be shown; see `turnlog parked`"
            ) from None
        except Gap:
            raise NoSuchMoment(
                f"the archive of session {self.key.session_id} changed meanwhile: ask again"
            ) from None
        turns: list[dict[str, Any]] = from_json(b"[" + page.items + b"]")
        return Then(session_item(session), turns[::-1], page.total_count)

    def events(self, *, newest: int, upto: int) -> Iterator[dict[str, Any]]:
        """The newest so many events up to `upto`, oldest first, as the API shows them; 0: all."""
        first = max(upto - newest + 1, 1) if newest else 1
        while first <= upto:
            some = self._read(Span(first, upto))
            if not some:
                return
            for event in some:
                yield from_json(event_item(event, folded=False))
            first = some[-1].seq + 1
