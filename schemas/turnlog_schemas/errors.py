"""The root of every error that Turnlog raises on purpose.

    TurnlogError
    └── InvalidEvent        cannot be written or read as it is: change it, do not resend

Producers, projector and API add their own branches below `TurnlogError`.
"""


class TurnlogError(Exception):
    """Base of every error that Turnlog raises on purpose."""


class InvalidEvent(TurnlogError):
    """An event that breaks the format. The text names the field, what was given and what is
    allowed, and never repeats what people wrote."""
