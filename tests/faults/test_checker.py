"""The checker must object to what it is there for."""

from hashlib import blake2b

import pytest
from checker import check_record
from load import Acknowledged
from truth import Archived, check_archive


def row(seq: int, event_id: str) -> Archived:
    raw = event_id.encode()
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
    changed = [*archive[:2], archive[2]._replace(raw=b"other")]
    assert "does not match its hash" in "\n".join(faults(record, changed))
