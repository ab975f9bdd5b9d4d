"""Trimming in tests. Since when the archive holds something is told by marks that a test sets."""

from datetime import timedelta

from rig import Rig

from turnlog_producers.head import Head
from turnlog_projector.trim import Trimmed, Trimmer
from turnlog_projector.trim_marks import TrimRule, cuts, mark

WEEK = timedelta(days=7)
AT_ONCE = timedelta(0)


def mark_now(rig: Rig, *, ago: timedelta = AT_ONCE) -> None:
    """Note what is archived now, as if that had been some time ago."""
    mark(rig.connection, range(rig.partitions), AT_ONCE)
    rig.connection.execute(
        "UPDATE turnlog.trim_marks SET at = at - %s WHERE at > now() - interval '1 second'", (ago,)
    )


def trim(
    rig: Rig,
    *,
    older_than: timedelta = AT_ONCE,
    quiet_after: timedelta = AT_ONCE,
    keep: int = 0,
    dry_run: bool = False,
) -> Trimmed:
    """Trim every partition by a rule; by default all that is archived."""
    mark(rig.connection, range(rig.partitions), AT_ONCE)
    return trim_by(rig, TrimRule.of(older_than, quiet_after, keep), dry_run=dry_run)


def trim_by(rig: Rig, rule: TrimRule, *, dry_run: bool = False) -> Trimmed:
    """The same, by the marks that are there."""
    trimmer = Trimmer(rig.projection().log, rig.connection, rule, dry_run=dry_run)
    for cut in cuts(rig.connection, range(rig.partitions), rule):
        for _ in trimmer.partition(cut):
            pass
    return trimmer.done


def head(rig: Rig, session_id: str) -> Head:
    """The head of a session as Redis has it."""
    keys = rig.writer.keys(session_id)
    value = rig.client.hget(keys.heads, keys.field)
    assert value is not None
    return Head.parse(value)  # pyright: ignore[reportArgumentType]


def in_redis(rig: Rig, session_id: str) -> tuple[int, int]:
    """How many stream entries and how many ids Redis holds of a session."""
    keys = rig.writer.keys(session_id)
    return rig.client.xlen(keys.stream), rig.client.hlen(keys.ids)  # pyright: ignore[reportReturnType]
