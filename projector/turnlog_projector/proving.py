"""Proving that a generation which is not live yet holds what the log folds to.

Of what was copied, the digest of the rows read back must be that of the rows that were folded. What
was folded against the tables after that, session by session, is folded afresh and compared.
"""

import time
from collections.abc import Collection
from typing import NamedTuple

from turnlog_projector.crew import crew_size
from turnlog_projector.digest import added
from turnlog_projector.flip import follow_closely
from turnlog_projector.following import Follower, Progress
from turnlog_projector.log import SessionKey
from turnlog_projector.rebuild import Rebuild
from turnlog_projector.verify import Verification, VerifyProgress, count_partitions
from turnlog_projector.verify_differences import Difference
from turnlog_projector.verify_tables import stray_sessions
from turnlog_projector.verify_tasks import Job
from turnlog_schemas.errors import TurnlogError
from turnlog_schemas.ids import partition_of

_ATTEMPTS = 3
_TOLD_DIFFERENCES = 3
_MANY_SESSIONS = 2000
_MOST_SESSIONS = 10_000
"""When so many differ, none of them need be looked at again."""


class NotProven(TurnlogError):
    """A generation is not what the log says; nothing was made live."""


class Proof(NamedTuple):
    """What was looked at."""

    sessions: int
    digest: int
    seconds: float


class _Findings:
    """Collects differences, of which a message can tell a few."""

    def __init__(self) -> None:
        self.sessions: set[tuple[str, str]] = set()
        self.count = 0
        self._first: list[str] = []

    def add(self, difference: Difference) -> None:
        self.count += 1
        if len(self.sessions) < _MOST_SESSIONS:
            self.sessions.add((difference.tenant, difference.session_id))
        if len(self._first) < _TOLD_DIFFERENCES:
            self._first.append(difference.told(values=False).line())

    def keys(self, partitions: int) -> list[SessionKey]:
        """The sessions that differ. Raises `NotProven` for what is wrong with none of them."""
        if ("", "") in self.sessions:
            raise NotProven(f"the log is not sound: {self._first[0]}; see `turnlog verify`")
        return sorted(SessionKey(partition_of(*name, partitions), *name) for name in self.sessions)

    def error(self, generation: int) -> NotProven:
        differences = "; ".join(self._first)
        return NotProven(
            f"generation {generation} is not what the log says, and was not made live. "
            f"{self.count} differences: {differences}"
        )


def prove_copied(rebuild: Rebuild, processes: int | None) -> Proof:
    """What was copied in is there, and nothing else. Raises `NotProven`."""
    began = time.monotonic()
    verification, findings = _verification(rebuild)
    connection = rebuild.connection
    verification.digest_all(connection, processes=processes, left_out=set(rebuild.large))
    digest = verification.checked.found
    strays = stray_sessions(connection, rebuild.number, count_partitions(connection))
    if strays or digest != rebuild.copied.digest:
        rebuild.begin_to_follow()
        verification.check_all(connection, processes=processes)
        if not findings.count:
            raise NotProven(
                f"generation {rebuild.number} was changed while it was built, and was not made live"
            )
        raise findings.error(rebuild.number)
    return Proof(rebuild.copied.sessions, digest, time.monotonic() - began)


def prove_sessions(
    follower: Follower, keys: Collection[SessionKey], processes: int | None
) -> Proof:
    """Some sessions are what the log says up to where the generation is. Raises `NotProven`.

    What is erased or voided meanwhile makes one differ until the generation has come that far: what
    differs is caught up with and looked at again.
    """
    began = time.monotonic()
    proof: Proof | None = None
    wanted = set(keys)
    for attempt in range(1, _ATTEMPTS + 1):
        verification, findings = _verification(follower)
        many = crew_size(follower.total, processes) if len(wanted) > _MANY_SESSIONS else 0
        verification.check_sessions(wanted, processes=many)
        done = verification.checked
        proof = proof or Proof(done.sessions, done.found, 0.0)
        if not findings.count:
            break
        if attempt == _ATTEMPTS or len(findings.sessions) == _MOST_SESSIONS:
            raise findings.error(follower.number)
        follow_closely(follower)
        wanted = {key for key in wanted if key[1:] in findings.sessions}
    assert proof is not None
    return proof._replace(seconds=time.monotonic() - began)


def prove_touched(follower: Follower, processes: int | None) -> Proof:
    """The same of all sessions that have changed since it was asked last."""
    touched = set(follower.touched)
    follower.touched.clear()
    return prove_sessions(follower, touched, processes)


def prove_everything(follower: Follower, processes: int | None) -> Proof:
    """All sessions are, and there are no others. Raises `NotProven`."""
    began = time.monotonic()
    verification, findings = _verification(follower)
    verification.check_all(follower.connection, processes=processes)
    done = verification.checked
    if len(findings.sessions) == _MOST_SESSIONS:
        raise findings.error(follower.number)
    if findings.count:
        # Some may only have been changed by what is to be caught up with.
        follow_closely(follower)
        keys = findings.keys(count_partitions(follower.connection))
        prove_sessions(follower, keys, processes)
    return Proof(done.sessions, done.found, time.monotonic() - began)


def together(*proofs: Proof) -> Proof:
    """Of sessions that were proven apart."""
    return Proof(
        sum(proof.sessions for proof in proofs),
        added(*(proof.digest for proof in proofs)),
        sum(proof.seconds for proof in proofs),
    )


def _verification(follower: Follower) -> tuple[Verification, _Findings]:
    findings = _Findings()

    def tell(progress: VerifyProgress) -> None:
        follower.tell(Progress("verify", progress.events, max(follower.total, progress.events)))

    partitions = count_partitions(follower.connection)
    refused = {key: parked.seq for key, parked in follower.parked.items() if parked.refused}
    job = Job(follower.url, None, partitions, follower.number, refused)
    return Verification(job, tell, findings.add), findings
