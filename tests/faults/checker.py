"""The checker: given only what the writers were told and the archive, what is wrong?"""

from collections import Counter
from collections.abc import Iterable

from load import Acknowledged
from truth import Archived


def check_record(
    record: Iterable[Acknowledged], archive: list[Archived], *, healed: bool = False
) -> list[str]:
    """Every acknowledged event is archived, once, in its session, at the seq that was told; nothing
    else is there but events that some writer sent without ever being answered.

    With `healed`, Redis lost events on purpose: they may then stand at a later seq.
    """
    faults: list[str] = []
    where = {(row.session_id, row.event_id): row.seq for row in archive if row.repeat_of is None}
    times = Counter((row.session_id, row.event_id) for row in archive)
    faults += [f"{key} is archived {count} times" for key, count in times.items() if count > 1]
    for told in record:
        seq = where.get((told.session_id, told.event_id))
        if seq is None:
            faults.append(f"{told.session_id}: {told.event_id} was acknowledged and is missing")
        elif seq != told.seq and not healed:
            faults.append(
                f"{told.session_id}: {told.event_id} was acknowledged as {told.seq}, it is {seq}"
            )
    seqs: dict[str, list[int]] = {}
    for row in archive:
        seqs.setdefault(row.session_id, []).append(row.seq)
    faults += [
        f"{session_id}: the seqs are not 1 to {len(found)}"
        for session_id, found in seqs.items()
        if sorted(found) != list(range(1, len(found) + 1))
    ]
    return faults
