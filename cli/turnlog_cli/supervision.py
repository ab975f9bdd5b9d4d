"""What a supervisor of processes needs: signals that it counts, and patience that grows."""

import signal
import threading
import time
from typing import Any, Self

_FIRST_BACK_OFF_S = 0.5
_LONGEST_BACK_OFF_S = 15.0
_HEALTHY_S = 30.0


class StopSignals:
    """Counts SIGINT, SIGTERM and SIGHUP instead of being interrupted by them, so that none can
    come between starting a process and noting that it runs."""

    _NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self) -> None:
        self._count = 0
        self._came = threading.Event()
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for number in self._NUMBERS:
            before = signal.getsignal(number)
            # Under nohup it is to outlive its terminal.
            if number != signal.SIGHUP or before != signal.SIG_IGN:
                self._before[number] = before
                signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def __call__(self) -> bool:
        return self._count > 0

    def hurry(self) -> bool:
        """True from the second signal on."""
        return self._count > 1

    def wait(self, seconds: float) -> bool:
        """Sleep, unless a signal comes or has come."""
        return self._came.wait(seconds)

    def _note(self, *_: object) -> None:
        self._count += 1
        self._came.set()


class BackOff:
    """When to start again something that keeps ending: at growing distances."""

    def __init__(self) -> None:
        self._delay_s = _FIRST_BACK_OFF_S
        self._started = time.monotonic()
        self._due: float | None = None

    def ended(self) -> float | None:
        """Note that it has ended; the seconds until its next start, once for each end."""
        if self._due is not None:
            return None
        now = time.monotonic()
        if now - self._started > _HEALTHY_S:
            self._delay_s = _FIRST_BACK_OFF_S
        delay_s, self._delay_s = self._delay_s, min(2 * self._delay_s, _LONGEST_BACK_OFF_S)
        self._due = now + delay_s
        return delay_s

    def due(self) -> bool:
        """Whether to start it now; the caller then does."""
        if self._due is None or time.monotonic() < self._due:
            return False
        self._due = None
        self._started = time.monotonic()
        return True
