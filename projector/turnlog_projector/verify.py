"""Verify: fold the log afresh and compare it with what a generation of the read models holds, row
by row, while everything is live.

Each session is read in one snapshot and compared at equal seq, so whatever is appended meanwhile
makes no difference. What is checked of each session: its rows in all read models; that the archive
holds seqs 1 to n, unchanged by its hashes; that the events which the stream still holds are the
archived ones; that heads names the last of them. Of all sessions together: that the generation
holds no others, and that offsets and the list of parked sessions agree.
"""

import time
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

from turnlog_projector.crew import crew_size, share
from turnlog_projector.database import Database, check_schema, connect_postgres, scalar
from turnlog_projector.digest import added, written
from turnlog_projector.errors import NotReady
from turnlog_projector.generations import (
    Generation,
    NoSuchGeneration,
    find_generation,
    positions_of,
)
from turnlog_projector.log import SessionKey
from turnlog_projector.sqlfiles import statement
from turnlog_projector.verify_differences import Difference
from turnlog_projector.verify_sessions import Checked
from turnlog_projector.verify_tables import check_offsets, check_parked, stray_sessions
from turnlog_projector.verify_tasks import Job, digest_partition, verify_partition, verify_sessions
from turnlog_schemas.ids import partition_of

_TASK_SESSIONS = 500


class VerifyProgress(NamedTuple):
    """Where a verification is."""

    sessions: int
    events: int
    total: int
    """Events to go through, as far as that is known; more may come meanwhile."""


class VerifyReport(NamedTuple):
    """What a verification found."""

    generation: int
    state: str
    digest: str
    """Of what the generation holds of the sessions verified: 32 hexadecimal digits."""
    expected: str
    """Of what the log folds to; the same, unless read models differ."""
    sessions: int
    events: int
    differences: int
    seconds: float


Tell = Callable[[VerifyProgress], None]
Report = Callable[[Difference], None]


def verify(
    postgres_url: str,
    redis_url: str | None,
    *,
    tell: Tell,
    report: Report,
    generation: int | str | None = None,
    session: tuple[str, str] | None = None,
    sample: int | None = None,
    processes: int | None = None,
) -> VerifyReport:
    """Verify a generation (the live one unless another is named): all of it, some sessions by
    chance, or one (tenant, session_id). `report` gets every difference as it is found, with texts
    as they are: mask them. Without `redis_url` the streams are left alone.

    Raises `NoSuchGeneration`, also when it is dropped meanwhile.
    """
    began = time.monotonic()
    with connect_postgres(postgres_url, application_name="turnlog verify") as connection:
        check_schema(connection)
        found = _settled_generation(connection, generation)
        job = Job(postgres_url, redis_url, count_partitions(connection), found.generation)
        verification = Verification(job, tell, report)
        if session is not None:
            partition = partition_of(*session, job.partitions)
            verification.check_sessions([SessionKey(partition, *session)], processes=0)
        elif sample is not None:
            verification.check_sessions(sample_sessions(connection, sample), processes=processes)
        else:
            verification.check_all(connection, processes=processes)
    done = verification.checked
    return VerifyReport(
        found.generation,
        found.state,
        written(done.found),
        written(done.expected),
        done.sessions,
        done.events,
        verification.differences,
        time.monotonic() - began,
    )


class Verification:
    """Sums up what the parts of a verification find."""

    def __init__(self, job: Job, tell: Tell, report: Report) -> None:
        self._job = job
        self._tell = tell
        self._report = report
        self._total = 0
        self.differences = 0
        self.checked = Checked(0, 0, 0, 0, [])

    def check_all(self, connection: Database, *, processes: int | None) -> None:
        """Every session, and what concerns all of them."""
        self._total = scalar(
            connection, "SELECT coalesce(sum(pos), 0)::bigint FROM turnlog.offsets"
        )
        calls = [(self._job, partition) for partition in range(self._job.partitions)]
        self._run(verify_partition, calls, crew_size(self._total, processes))
        strays = stray_sessions(connection, self._job.generation, self._job.partitions)
        for difference in (*check_offsets(connection), *check_parked(connection)):
            self._found(difference)
        self._run(verify_sessions, [(self._job, strays)], 0)

    def digest_all(
        self,
        connection: Database,
        *,
        processes: int | None,
        left_out: Collection[SessionKey] = frozenset(),
    ) -> None:
        """Only the digest of what the generation holds, some sessions left out."""
        self._total = scalar(connection, "SELECT sum(pos)::bigint FROM turnlog.offsets") or 0
        calls = [(self._job, p, frozenset(left_out)) for p in range(self._job.partitions)]
        self._run(digest_partition, calls, crew_size(self._total, processes))

    def check_sessions(self, keys: Collection[SessionKey], *, processes: int | None) -> None:
        """Some sessions."""
        named = sorted(keys)
        parts = [named[i : i + _TASK_SESSIONS] for i in range(0, len(named), _TASK_SESSIONS)]
        self._run(verify_sessions, [(self._job, part) for part in parts], processes or 0)

    def _run(self, task: Any, calls: Sequence[tuple[Any, ...]], processes: int) -> None:
        for checked in share(task, calls, processes=processes):
            self._take(checked)

    def _take(self, more: Checked) -> None:
        sessions, events, expected, found, _ = self.checked
        self.checked = Checked(
            sessions + more.sessions,
            events + more.events,
            added(expected, more.expected),
            added(found, more.found),
            [],
        )
        for difference in more.differences:
            self._found(difference)
        total = max(self._total, self.checked.events)
        self._tell(VerifyProgress(self.checked.sessions, self.checked.events, total))

    def _found(self, difference: Difference) -> None:
        self.differences += 1
        self._report(difference)


def count_partitions(connection: Database) -> int:
    """Of the log that the database belongs to. Raises `NotReady`."""
    partitions = scalar(connection, "SELECT partitions FROM turnlog.log")
    if partitions is None:
        raise NotReady("the database belongs to no log yet: run `turnlog init`")
    return partitions


def sample_sessions(connection: Database, count: int) -> list[SessionKey]:
    """That many sessions by chance."""
    return [SessionKey(*row) for row in connection.execute(statement("sample_sessions"), (count,))]


def _settled_generation(connection: Database, wanted: int | str | None) -> Generation:
    """One of which it is known how far it is."""
    found = find_generation(connection, wanted)
    if found.state == "building":
        raise NoSuchGeneration(f"generation {found.generation} is only being built")
    if found.state != "live" and not positions_of(connection, found.generation):
        raise NoSuchGeneration(
            f"generation {found.generation} was left before Turnlog noted where: drop it"
        )
    return found
