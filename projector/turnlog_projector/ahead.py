"""Which partitions are read next, and reading them while the batch before is being written."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import redis

from turnlog_projector.batch import Offset
from turnlog_projector.log import LogReader, SessionKey
from turnlog_projector.reading import AnchorLost, Limits, Reading, read

_BEHIND_AT_ONCE = 8


class Readings:
    """Reads for one projection; `known` tells up to which seq a session need not be read."""

    def __init__(self, log: LogReader, known: Callable[[SessionKey], int]) -> None:
        self._log = log
        self._known = known
        self._behind: list[int] = []
        """Partitions with more to do than a batch takes; each waits for its turn."""
        self._ahead: Reading | None = None

    def clear(self) -> None:
        """Forget which partitions were behind, and what was read ahead."""
        self._behind = []
        self._ahead = None

    def drop_ahead(self) -> None:
        """Forget what was read ahead."""
        self._ahead = None

    def take(
        self, partitions: Sequence[int], offsets: Mapping[int, Offset], limits: Limits
    ) -> tuple[Reading, set[int]]:
        """The next reading, and the partitions that have more to do. Raises `AnchorLost`."""
        reading, self._ahead = self._ahead, None
        if (
            reading is None
            or not reading.anchors.keys() <= set(partitions)
            or any(offsets[p] != anchor for p, anchor in reading.anchors.items())
        ):
            anchors = {p: offsets[p] for p in self.turn(partitions)}
            reading = read(self._log, anchors, limits, self._known)
        taken = reading.anchors.keys()
        self._behind = [p for p in self._behind if p not in taken] + sorted(reading.more)
        return reading, reading.more | (set(partitions) - taken)

    def turn(self, partitions: Sequence[int]) -> list[int]:
        """Those that a batch takes: of partitions that are far behind a few at a time, so that the
        events of a session come together."""
        waiting = [p for p in self._behind if p in partitions]
        return [p for p in partitions if p not in waiting] + waiting[:_BEHIND_AT_ONCE]

    def read_ahead(self, anchors: Mapping[int, Offset], limits: Limits) -> None:
        """Read on from where partitions are about to be."""
        # Whatever goes wrong here is met again, where it is dealt with, by the next reading.
        with suppress(AnchorLost, redis.RedisError, OSError):
            self._ahead = read(self._log, anchors, limits, self._known)
