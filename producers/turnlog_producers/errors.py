"""What can go wrong with an append, by what the caller does next.

TurnlogError
├── InvalidEvent        change the event                                   (turnlog_schemas)
│   └── TooLarge        make it smaller, or split the batch
├── Refused             do not resend: the session does not take it
│   ├── SessionErased
│   └── NotOwner
├── Conflict            read again and decide
├── Unavailable         resend the identical call later; whether it was written is unknown
├── LogDamaged          resend later; the projector heals the session, an operator should look
└── Misconfigured       change a setting, an address or a password
"""

from turnlog_schemas.errors import InvalidEvent, TurnlogError


class TooLarge(InvalidEvent):
    """An event or a batch over the limit. Nothing was sent."""


class Refused(TurnlogError):
    """The session does not take the event, now or later."""


class SessionErased(Refused):
    """The session was erased for good."""


class NotOwner(Refused):
    """The session belongs to another user than the one acted for."""


class Conflict(TurnlogError):
    """The session is not at the seq that the caller expected. Nothing was written."""

    def __init__(self, session: str, expected: int, actual: int) -> None:
        super().__init__(f"session {session}: expected seq {expected}, it is at {actual}")
        self.session = session
        self.expected = expected
        self.actual = actual


class Unavailable(TurnlogError):
    """Redis did not answer, or cannot write now. The event may or may not be in the log: resend the
    identical call, with the same event ids, and it is never written twice."""

    def __init__(self, message: str, *, event_ids: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.event_ids = event_ids
        """Of the events whose fate is unknown: pass them as `event_id=` when resending."""


class LogDamaged(TurnlogError):
    """The stream in Redis is shorter than its head says. Nothing was written."""


class Misconfigured(TurnlogError):
    """A setting, address or password that cannot work."""
