"""A fold with a fault, as a release might bring one."""

from collections.abc import Generator
from contextlib import contextmanager

from turnlog_schemas import fold as fold_module
from turnlog_schemas.codec import RecordedEvent
from turnlog_schemas.rows import Changes, Rows, Session


def broken(session: Session, rows: Rows, event: RecordedEvent) -> Changes:
    """A handler that fails at every event."""
    raise KeyError("a fault of ours")


@contextmanager
def patched_handler(type_: str) -> Generator[None]:
    """The fold fails at events of this type, for a while."""
    handlers = fold_module._HANDLERS  # pyright: ignore[reportPrivateUsage]
    handler = handlers[type_]
    handlers[type_] = broken
    try:
        yield
    finally:
        handlers[type_] = handler
