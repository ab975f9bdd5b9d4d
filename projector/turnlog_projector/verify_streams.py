"""Looking again at sessions whose stream and archive seemed to differ. While one is read, the other
may be healed, trimmed or erased: only what stays different for a while is a difference."""

import time
from collections.abc import Iterator, Sequence

from turnlog_projector.database import Database
from turnlog_projector.log import LogReader, SessionKey
from turnlog_projector.verify_differences import Difference
from turnlog_projector.verify_log import compare_stream
from turnlog_projector.verify_reading import Page, archive_rows, in_chunks

_PAUSES_S = (0.05, 0.2, 1.0)


class Suspects:
    """Sessions to look at again, in one verification."""

    def __init__(self, connection: Database, log: LogReader) -> None:
        self._connection = connection
        self._log = log
        self._pauses = _PAUSES_S

    def check(self, keys: Sequence[SessionKey]) -> list[Difference]:
        """How these sessions differ from their streams, and go on to."""
        differences: list[Difference] = []
        for pause in self._pauses:
            if not keys:
                return []
            time.sleep(pause)
            differences = [found for key in keys for found in self._compare(key)]
            keys = [key for key in keys if any(found[:2] == key[1:] for found in differences)]
        if differences:
            self._pauses = _PAUSES_S[
                :1
            ]  # a log of which much is wrong need not be waited for again
        return differences

    def _compare(self, key: SessionKey) -> Iterator[Difference]:
        with (
            self._connection.transaction(),
            archive_rows(self._connection, Page(key.partition, None, None, [key])) as rows,
        ):
            for chunk in in_chunks(rows):
                archived = [row.event for row in chunk]
                [tail] = self._log.tails([(key, archived[0].seq, archived[-1].seq)])
                yield from compare_stream(key, archived, tail.events)
