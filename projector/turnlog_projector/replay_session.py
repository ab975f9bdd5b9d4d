"""Replay of one session, in place: its rows in the live generation are removed and folded afresh
from the archive, in one transaction, so that readers see either the former or the new ones."""

import time
from typing import NamedTuple

from turnlog_projector.database import Database, check_schema, connect_postgres, scalar
from turnlog_projector.digest import written
from turnlog_projector.generations import active_generation
from turnlog_projector.log import SessionKey
from turnlog_projector.proving import NotProven
from turnlog_projector.refold import refold_live
from turnlog_projector.replay_until import CannotLook
from turnlog_projector.sqlfiles import statement
from turnlog_projector.verify import Report, Verification, count_partitions
from turnlog_projector.verify_tasks import Job
from turnlog_schemas.ids import partition_of


class SessionReport(NamedTuple):
    """What the replay of a session did."""

    generation: int
    digest: str
    events: int
    differences: int
    """In what the read models held before."""
    parked: bool
    """It waits at an event that cannot be folded."""
    seconds: float


def replay_session(
    postgres_url: str, tenant: str, session_id: str, *, report: Report
) -> SessionReport:
    """Fold one session afresh. `report` gets what was wrong before, with texts as they are.

    The partition's projection waits meanwhile (seconds for a session of 100,000 turns), appends and
    reads do not. Raises `CannotLook` when the archive has no such session, and `NotProven` when the
    archive itself is damaged.
    """
    began = time.monotonic()
    with connect_postgres(postgres_url, application_name="turnlog replay") as connection:
        check_schema(connection)
        partitions = count_partitions(connection)
        key = SessionKey(partition_of(tenant, session_id, partitions), tenant, session_id)
        if not connection.execute(statement("load_archived"), [[part] for part in key]).fetchall():
            raise CannotLook(f"session {key.field} has no archived events")
        generation = active_generation(connection)
        before = _verify(connection, postgres_url, generation, key, report)
        generation = _refold(connection, key)
        after = _verify(connection, postgres_url, generation, key, report)
        if after.differences:
            raise NotProven(
                f"session {key.field} is not what the log says, even folded afresh: "
                f"{after.differences} differences; see `turnlog verify --session {session_id}`"
            )
        parked = scalar(connection, statement("parked_seq"), *key)
    return SessionReport(
        generation,
        written(after.checked.found),
        after.checked.events,
        before.differences,
        parked is not None,
        time.monotonic() - began,
    )


def _refold(connection: Database, key: SessionKey) -> int:
    with connection.transaction():
        # The offset first: it keeps a flip away, and whoever has cached rows of the session reads
        # them again.
        connection.execute(statement("raise_epoch"), (key.partition,))
        generation = active_generation(connection)
        refold_live(connection, generation, key)
    return generation


def _verify(
    connection: Database, postgres_url: str, generation: int, key: SessionKey, report: Report
) -> Verification:
    job = Job(postgres_url, None, count_partitions(connection), generation)
    verification = Verification(job, lambda _: None, report)
    verification.check_sessions([key], processes=0)
    return verification
