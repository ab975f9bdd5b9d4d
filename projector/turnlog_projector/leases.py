"""Which worker projects which partition. Leases only spare double work: two workers that both
believe they own a partition do no harm, for every write is a compare-and-set on its offset.

A worker is alive while it has been seen within the lease and its connection still holds its
advisory lock: so the partitions of one that died are taken over at the next tick, those of one
that hangs after the lease.
"""

import os
import secrets
import socket
from collections.abc import Sequence

from turnlog_projector.database import Database
from turnlog_projector.sqlfiles import statement


class Leases:
    """The leases of one worker, kept over its projection connection."""

    def __init__(self, connection: Database, *, lease_seconds: float) -> None:
        self._connection = connection
        self._lock_key = secrets.randbits(63)
        self.worker = f"{socket.gethostname()}-{os.getpid()}-{self._lock_key % 0xFFFF:04x}"
        self.lease_seconds = lease_seconds
        connection.execute("SELECT pg_advisory_lock(%s)", (self._lock_key,))

    def tick(self) -> set[int]:
        """Renew, give up what exceeds a fair share, take what is free: the partitions owned."""
        me = {
            "worker": self.worker,
            "lock_key": self._lock_key,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "lease": self.lease_seconds,
        }
        with self._connection.transaction():
            self._connection.execute(statement("worker_seen"), me)
            alive: Sequence[str] = [
                row[0] for row in self._connection.execute(statement("workers_alive"), me)
            ]
            rows = self._connection.execute(statement("leases_balance"), {**me, "alive": alive})
            return {row[0] for row in rows}

    def release(self) -> None:
        """Give everything up, so that others need not wait."""
        me = {"worker": self.worker}
        with self._connection.transaction():
            self._connection.execute(statement("leases_release"), me)
            self._connection.execute(statement("worker_gone"), me)
