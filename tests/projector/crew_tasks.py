"""Tasks for processes of a crew: they have to stand in a module that those can import."""

import os
import signal
import time
from collections.abc import Iterator

from turnlog_projector.crew import Kept


class Resource:
    """Something that is kept open."""

    def __init__(self) -> None:
        self.uses = 0

    def close(self) -> None:
        self.uses = -1


class Odd(Exception):
    """An error that cannot be sent to another process."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


def count(kept: Kept, number: int) -> Iterator[tuple[int, int]]:
    """Yields its number twice, and how often the resource was used in this process."""
    resource = kept.get("resource", Resource)
    for _ in range(2):
        resource.uses += 1
        yield number, resource.uses


def fail(kept: Kept, number: int) -> Iterator[int]:
    yield number
    if number == 2:
        raise ValueError("two is too much")
    if number == 3:
        raise Odd(1, 2)
    if number == 4:
        os.kill(os.getpid(), signal.SIGKILL)


def hang(kept: Kept, number: int) -> Iterator[int]:
    yield os.getpid()
    time.sleep(600)
