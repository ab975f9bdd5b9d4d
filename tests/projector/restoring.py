"""Dumping a log and restoring it, in tests."""

from collections.abc import Callable, Iterator

from appending import event, foreign, poison, turn
from rig import Rig
from trimming import trim

from turnlog_projector.archive_dump import dump_archive
from turnlog_projector.archive_restore import RestoreReport, restore_archive
from turnlog_projector.parking import retry
from turnlog_projector.replay import replay


def fill(rig: Rig) -> None:
    """A log with everything that a dump has to carry."""
    writer, projection = rig.writer, rig.projection()
    writer.append("s", event("session.started", {"user_id": "ann é"}), owner="ann é")
    for number in range(5):
        writer.append("s", turn(f"t{number}", f"turn {number} \0 😀\u2028", event_id=f"e{number}"))
    writer.append("s", event("turn.edited", {"turn_id": "t1", "content": "edited"}))
    writer.append("s", event("turn.retracted", {"turn_id": "t2"}))
    writer.append("s", turn("branch", parent_turn_id="t0"))
    for number in range(20):
        writer.append(f"small-{number}", turn("t0", f"small {number}"))
    writer.append("no-start", foreign("com.example.seen", {"at": "all"}))
    started = event("session.started", {"user_id": "bob"})
    writer.append("parked", turn("t0"), poison(b"\xff\xfe no text"), turn("t1"))
    writer.append("parked", started, owner="bob")
    writer.append("skipped", turn("t0"), poison(), turn("t1"))
    writer.append("erased", event("session.started", {"user_id": "eve"}), owner="eve")
    writer.append("erased", turn("t0", "secret"), event("session.erased"))
    writer.append("a-turn-less", turn("t0", "secret"), turn("t1"))
    writer.append("a-turn-less", event("turn.erased", {"turn_id": "t0"}))
    rig.drain(projection)
    retry(rig.projection(), "default", "skipped", skip=True)
    projection.reload(range(rig.partitions))
    trim(rig)
    writer.append("s", turn("t0", "again", event_id="e0"), turn("later"))
    rig.drain(projection)


def replayed(rig: Rig) -> None:
    """A replay; of so little that all is folded within this process."""
    replay(rig.postgres_url, tell=lambda _: None)


def dump_of(rig: Rig) -> list[bytes]:
    """The lines of a dump."""
    pieces: list[bytes] = []
    dump_archive(rig.postgres_url, pieces.append)
    return b"".join(pieces).splitlines(keepends=True)


def restore(
    redis_url: str,
    postgres_url: str,
    lines: list[bytes] | Iterator[bytes],
    *,
    partitions: int | None = None,
    tell: Callable[[str, int, int], None] | None = None,
) -> RestoreReport:
    """Restore lines; so few that all is folded within this process."""
    return restore_archive(
        redis_url,
        postgres_url,
        lines,
        tell=tell or (lambda _phase, _done, _total: None),
        partitions=partitions,
    )
