"""The checker must object to what it is there for."""

from hashlib import blake2b

import pytest
from checker import check_campaign, check_record
from load import Acknowledged
from record import Record
from truth import Archived, check_archive


def row(seq: int, event_id: str) -> Archived:
    raw = b'"%b"' % event_id.encode()
    digest = blake2b(raw, digest_size=16).digest()
    return Archived(0, seq, "default", "s", seq, event_id, 1000 + seq, None, digest, raw)


@pytest.fixture
def archive() -> list[Archived]:
    return [row(1, "a"), row(2, "b"), row(3, "c")]


@pytest.fixture
def record() -> list[Acknowledged]:
    return [Acknowledged("s", "a", 1), Acknowledged("s", "b", 2), Acknowledged("s", "c", 3)]


def faults(record: list[Acknowledged], archive: list[Archived]) -> list[str]:
    return check_record(record, archive) + check_archive(archive)


def test_it_is_content_with_what_is_right(
    record: list[Acknowledged], archive: list[Archived]
) -> None:
    assert faults(record, archive) == []


def test_it_accepts_what_was_written_but_never_acknowledged(
    record: list[Acknowledged], archive: list[Archived]
) -> None:
    assert faults(record[:2], archive) == []


def test_it_finds_a_lost_event(record: list[Acknowledged], archive: list[Archived]) -> None:
    assert "missing" in "\n".join(faults(record, archive[:2]))


def test_it_finds_a_doubled_event(record: list[Acknowledged], archive: list[Archived]) -> None:
    assert "archived 2 times" in "\n".join(faults(record, [*archive, row(4, "a")]))


def test_it_finds_swapped_events(record: list[Acknowledged], archive: list[Archived]) -> None:
    swapped = [archive[0], row(2, "c"), row(3, "b")]
    assert "was acknowledged as 2, it is 3" in "\n".join(faults(record, swapped))


def test_it_finds_a_changed_event(record: list[Acknowledged], archive: list[Archived]) -> None:
    changed = [*archive[:2], archive[2]._replace(raw=b'"other"')]
    assert "does not match its hash" in "\n".join(faults(record, changed))


@pytest.fixture
def campaign_record(archive: list[Archived]) -> Record:
    """Of a campaign that sent these events; the last was never answered."""
    record = Record({(row.session_id, row.event_id): row.hash for row in archive})
    record.told = {("s", "a"): 1, ("s", "b"): 2}
    return record


def campaign_faults(record: Record, archive: list[Archived]) -> str:
    return "\n".join(check_campaign(record, archive))


def test_the_campaign_is_content_with_what_is_right(
    campaign_record: Record, archive: list[Archived]
) -> None:
    assert campaign_faults(campaign_record, archive) == ""
    assert campaign_faults(campaign_record, archive[:2]) == ""


def test_the_campaign_finds_a_dropped_event(
    campaign_record: Record, archive: list[Archived]
) -> None:
    assert "acknowledged as 2 and is missing" in campaign_faults(campaign_record, archive[:1])


def test_the_campaign_excuses_only_what_was_lost_on_purpose(
    campaign_record: Record, archive: list[Archived]
) -> None:
    campaign_record.excused.add(("s", "b"))
    assert campaign_faults(campaign_record, archive[:1]) == ""
    assert "'a') was acknowledged" in campaign_faults(campaign_record, [])


def test_the_campaign_finds_a_doubled_event(
    campaign_record: Record, archive: list[Archived]
) -> None:
    assert "as 3 and as 4" in campaign_faults(campaign_record, [*archive, row(4, "c")])


def test_the_campaign_finds_swapped_events(
    campaign_record: Record, archive: list[Archived]
) -> None:
    swapped = [row(1, "b"), row(2, "a"), archive[2]]
    assert "acknowledged as 1, it is 2" in campaign_faults(campaign_record, swapped)


def test_the_campaign_finds_a_changed_event(
    campaign_record: Record, archive: list[Archived]
) -> None:
    raw = b'"something else"'
    changed = archive[1]._replace(raw=raw, hash=blake2b(raw, digest_size=16).digest())
    found = campaign_faults(campaign_record, [archive[0], changed, archive[2]])
    assert "is not what was sent" in found


def test_the_campaign_finds_an_event_that_nobody_sent(
    campaign_record: Record, archive: list[Archived]
) -> None:
    assert "never sent" in campaign_faults(campaign_record, [*archive, row(4, "d")])
