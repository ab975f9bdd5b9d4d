"""Verifying, in tests: what differs, and nothing else."""

from rig import Rig

from turnlog_projector.verify import VerifyReport, verify
from turnlog_projector.verify_differences import Difference


def run_verify(
    rig: Rig,
    *,
    generation: int | str | None = None,
    session: str | None = None,
    sample: int | None = None,
    stream: bool = True,
    processes: int | None = None,
) -> tuple[VerifyReport, list[Difference]]:
    """A verification, and every difference that it reports."""
    found: list[Difference] = []
    report = verify(
        rig.postgres_url,
        rig.redis_url if stream else None,
        tell=lambda _: None,
        report=found.append,
        generation=generation,
        session=("default", session) if session is not None else None,
        sample=sample,
        processes=processes,
    )
    assert report.differences == len(found)
    return report, found


def places(found: list[Difference]) -> set[tuple[str, int | None, str, str]]:
    """Session, seq, table and field of each difference."""
    return {(each.session_id, each.seq, each.table, each.field) for each in found}
