"""Waiting for something to project: the append script names each changed partition on a channel.

A wake that is lost (a cut connection) only costs time: the worker also looks by itself now and
then.
"""

import time
from typing import Any, cast

from redis import Redis
from redis.client import PubSub

from turnlog_producers.keys import WAKE

_SLICE_S = 0.5  # how long a stop signal may have to wait
_MOST = 2000


class Wakes:
    """A subscription to the wake channel."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._pubsub: PubSub | None = None

    def subscribe(self) -> None:
        """Start afresh; what was published before is gone: look at everything once after this."""
        self.close()
        self._pubsub = self._client.pubsub(ignore_subscribe_messages=True)
        self._pubsub.subscribe(WAKE)

    def wait(self, timeout_s: float) -> tuple[set[int], set[str]]:
        """Wait for the first wake, then take all that came: changed partitions, and sessions
        (`<tenant>:<session>`) whose stream a producer found damaged."""
        assert self._pubsub is not None
        partitions: set[int] = set()
        damaged: set[str] = set()
        deadline = time.monotonic() + min(timeout_s, _SLICE_S)
        for _ in range(_MOST):
            left = 0.0 if partitions or damaged else max(deadline - time.monotonic(), 0.0)
            message = cast(dict[str, Any] | None, self._pubsub.get_message(timeout=left))
            if message is None:
                if left == 0.0:
                    break
                continue
            number, _, session = message["data"].decode().partition(" ")
            if session:
                damaged.add(session)
            elif number.isdigit():
                partitions.add(int(number))
        return partitions, damaged

    def close(self) -> None:
        """End the subscription."""
        if self._pubsub is not None:
            self._pubsub.close()
            self._pubsub = None
