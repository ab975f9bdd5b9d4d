"""Verifying sessions: a page of them is read in one snapshot, folded afresh in memory, and compared
row by row with what a generation holds."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from turnlog_projector.archive import decode_archived, skipped_by_session
from turnlog_projector.database import Database
from turnlog_projector.digest import added, session_digest
from turnlog_projector.folding import fold_all
from turnlog_projector.lines import TABLES, Lines, session_lines
from turnlog_projector.log import LogReader, SessionKey, StoredEvent
from turnlog_projector.readmodels import ReadModels
from turnlog_projector.verify_differences import Difference, compare
from turnlog_projector.verify_log import ArchiveCheck, check_head, compare_stream
from turnlog_projector.verify_reading import (
    ArchiveRow,
    HeadRow,
    Limits,
    Page,
    archive_rows,
    found_lines,
)
from turnlog_projector.work import SessionWork
from turnlog_schemas.codec import RecordedEvent
from turnlog_schemas.errors import InvalidEvent
from turnlog_schemas.ids import partition_of

LARGE_SESSION_EVENTS = 5000
"""A session of more events is folded into scratch tables, not in memory."""
PAGE_BYTES = 32 * 1024 * 1024
"""So is one of more bytes; a page of sessions ends there."""
_NO_SKIPS: frozenset[int] = frozenset()


class Checked(NamedTuple):
    """What was found in some sessions. The digests are sums, see `digest`."""

    sessions: int
    events: int
    expected: int
    """The digest that the log folds to."""
    found: int
    """The digest of what the generation holds."""
    differences: list[Difference]


class CheckedPage(NamedTuple):
    """A page, or the part of it that was done."""

    checked: Checked
    suspects: list[SessionKey]
    """Those that differ from their stream, which moves on while this is read: `verify_streams`
    looks again."""
    last: tuple[str, str] | None
    """Where a page that was broken off ends: go on behind it."""
    large: SessionKey | None
    """The next session, when it is too large to be folded in memory."""


class _Folded(NamedTuple):
    """A session as the log tells it."""

    key: SessionKey
    events: int
    archived: list[StoredEvent]
    lines: Lines
    differences: list[Difference]


class _TooLarge(Exception):
    """The session does not fit into what is left of the page."""


def check_page(
    connection: Database,
    log: LogReader | None,
    limits: Limits,
    page: Page,
    heads: dict[SessionKey, HeadRow],
    *,
    partitions: int,
) -> CheckedPage:
    """Verify the sessions of a page; the caller holds the snapshot. `heads` are those of its
    sessions. The streams are only read once everything else is."""
    folded: list[_Folded] = []
    large: SessionKey | None = None
    voids = skipped_by_session(connection, page.partition)
    room = PAGE_BYTES
    with archive_rows(connection, page) as rows:
        for (tenant, session_id), events in groupby(rows, lambda row: row[:2]):
            key = SessionKey(page.partition, tenant, session_id)
            folding = _Folding(limits, key, heads.get(key), voids.get(key, _NO_SKIPS))
            try:
                room = folding.take((row[2] for row in events), room)
            except _TooLarge:
                large = key
                break
            folded.append(folding.folded(connection, partitions))
    done = {each.key for each in folded}
    # Sessions that the archive does not know, as far as the page came.
    for key in (heads.keys() | set(page.named)) - done:
        if large is None or key < large:
            folding = _Folding(limits, key, heads.get(key), _NO_SKIPS)
            folded.append(folding.folded(connection, partitions))
    folded.sort(key=lambda each: each.key)
    lines = found_lines(connection, limits.generation.generation, [each.key for each in folded])
    suspects = _suspects(log, folded) if log is not None else []
    checked = _compared(folded, lines)
    if large is None:
        return CheckedPage(checked, suspects, None, None)
    last = folded[-1].key[1:] if folded else None
    return CheckedPage(checked, suspects, last, None if folded else large)


class _Folding:
    """Checks and folds the archived events of one session."""

    def __init__(
        self, limits: Limits, key: SessionKey, head: HeadRow | None, voids: frozenset[int]
    ) -> None:
        self._limits = limits
        self._key = key
        self._head = head
        self._voids = voids
        self._parked_seq = limits.waits_at(key, head)
        self._archived: list[StoredEvent] = []
        self._events: list[RecordedEvent] = []
        self._check = ArchiveCheck(key)
        self._differences: list[Difference] = []
        self._stopped: int | None = None
        self._ended = not limits.generation.has(key.tenant, key.session_id)

    def take(self, rows: Iterable[ArchiveRow], room: int) -> int:
        """Take the events in; returns how many bytes are left of the room. Raises `_TooLarge`."""
        for row in rows:
            room -= len(row.event.raw)
            if room < 0 or len(self._archived) >= LARGE_SESSION_EVENTS:
                raise _TooLarge
            self._differences += self._check.take(row)
            self._archived.append(row.event)
            if not self._ended:
                self._decode(row)
        return room

    def _decode(self, row: ArchiveRow) -> None:
        if not self._limits.holds(self._key, row) or row.event.seq == self._parked_seq:
            self._ended = True
            return
        try:
            self._events.append(decode_archived(self._key, row.event, row.repeat_of, self._voids))
        except InvalidEvent:
            self._stopped = row.event.seq
            self._ended = True

    def folded(self, connection: Database, partitions: int) -> _Folded:
        work = SessionWork(self._key, None, None)
        models = ReadModels(connection, self._limits.generation.generation)
        for parked in fold_all(models, [(work, self._events)]):
            self._stopped = parked.seq
        differences = self._differences
        differences += check_head(self._key, self._head, self._check.last)
        differences += self._check.stubs.unlawful()
        if self._limits.live:
            differences += check_parked(self._key, self._head, self._stopped)
        if partition_of(self._key.tenant, self._key.session_id, partitions) != self._key.partition:
            differences.append(misplaced(self._key, partitions))
        lines = session_lines(work.session, work.changed)
        return _Folded(self._key, len(self._archived), self._archived, lines, differences)


def check_parked(
    key: SessionKey, head: HeadRow | None, stopped: int | None
) -> Iterator[Difference]:
    """Whether a session at which the fold stops waits there. (One that waits although it could go
    on by now is no fault: `turnlog parked --retry` folds it on.)"""
    if stopped is not None and head is not None and head.parked_seq != stopped:
        yield Difference(*key[1:], stopped, "heads", "", "parked_seq", stopped, head.parked_seq)


def misplaced(key: SessionKey, partitions: int) -> Difference:
    """A session in a partition that its name does not fall into."""
    right = partition_of(key.tenant, key.session_id, partitions)
    return Difference(*key[1:], None, "archive", "", "partition", right, key.partition)


def _suspects(log: LogReader, folded: Sequence[_Folded]) -> list[SessionKey]:
    """The sessions that differ from their streams."""
    wanted = [(each.key, 1, each.archived[-1].seq) for each in folded if each.archived]
    archived = {each.key: each.archived for each in folded}
    tails = zip(wanted, log.tails(wanted), strict=True)
    return [
        key for (key, _, _), tail in tails if any(compare_stream(key, archived[key], tail.events))
    ]


def _compared(folded: Sequence[_Folded], found: dict[SessionKey, Lines]) -> Checked:
    expected_sum = found_sum = events = 0
    differences: list[Difference] = []
    for each in folded:
        events += each.events
        differences += each.differences
        present = found[each.key]
        expected = session_digest(each.lines)
        expected_sum = added(expected_sum, expected)
        if each.lines == present:
            found_sum = added(found_sum, expected)
            continue
        found_sum = added(found_sum, session_digest(present))
        for table in TABLES:
            if each.lines[table] != present[table]:
                differences += compare(each.key, table, each.lines[table], present[table])
    return Checked(len(folded), events, expected_sum, found_sum, differences)
