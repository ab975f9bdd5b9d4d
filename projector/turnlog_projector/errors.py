"""What goes wrong around the projection, by what to do next.

TurnlogError
├── BadSettings        change a setting and start again            (settings.py)
├── NotReady           run `turnlog init`, or upgrade
├── WrongLog           Redis and Postgres belong to different logs: restore one, or adopt
├── UnsafeServer       change the configuration of the server, or upgrade it
├── ServerUnavailable  a server does not answer: the caller may try again
├── MassParking        put a mended release in place, or raise a setting, and start again
├── NothingLost        look at the session again: there is no loss to accept
└── Quarantined        a session's history forked where it must not: an operator must look
"""

from turnlog_schemas.errors import TurnlogError


class NotReady(TurnlogError):
    """The database has no schema yet, or one of another release."""


class WrongLog(TurnlogError):
    """Redis holds no log, or another one than Postgres was projected from."""


class ServerUnavailable(TurnlogError):
    """Redis or Postgres does not answer. Nothing is lost; try again when it is back."""


class UnsafeServer(TurnlogError):
    """A server is set up in a way that would lose events, or is too old."""


class MassParking(TurnlogError):
    """So many sessions cannot be folded that a release must be at fault. None of them was parked
    by this; nothing is lost."""


class NothingLost(TurnlogError):
    """No event of the session is missing that has left Redis."""


class Quarantined(TurnlogError):
    """The last event that stream and archive share is not the same in both, or the stream holds an
    entry that no script of ours wrote."""
