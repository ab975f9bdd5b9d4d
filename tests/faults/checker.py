"""The checker: given only what the writers were told and the archive, what is wrong?"""

from collections import Counter
from collections.abc import Iterable

from load import Acknowledged
from pydantic_core import from_json
from record import Record
from truth import Archived

from turnlog_schemas.stubs import is_stub


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


def check_campaign(record: Record, archive: list[Archived]) -> list[str]:
    """Every event that was answered is archived at the seq that was told, with the bytes that were
    sent, or as the stub of an erased one; one that was not answered is there once or not at all;
    nothing else is there but the session.started that goes along with a first append."""
    faults: list[str] = []
    found: dict[tuple[str, str], Archived] = {}
    for row in archive:
        key = (row.session_id, row.event_id)
        if row.repeat_of is not None:
            continue
        if key in found:
            faults.append(f"{key} is archived as {found[key].seq} and as {row.seq}")
        found[key] = row
    for key, seq in record.told.items():
        row = found.get(key)
        if row is None:
            if key not in record.excused:
                faults.append(f"{key} was acknowledged as {seq} and is missing")
        elif row.seq != seq and not record.moved:
            faults.append(f"{key} was acknowledged as {seq}, it is {row.seq}")
    for key, row in found.items():
        digest = record.sent.get(key)
        if digest is None and b'"session.started"' not in row.raw:
            faults.append(f"{key} was never sent")
        if digest is not None and row.hash != digest and not is_stub(from_json(row.raw)):
            faults.append(f"{key} is not what was sent")
    return faults
