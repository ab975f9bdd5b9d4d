"""For commands that clean up when they are broken off: SIGTERM ends them the way Ctrl-C does."""

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def sigterm_interrupts() -> Generator[None]:
    """SIGTERM raises `KeyboardInterrupt` meanwhile. Without effect outside of the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(*_signal: object) -> None:
    raise KeyboardInterrupt
