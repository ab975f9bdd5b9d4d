"""Whether an archive is being restored: until that is done, projectors wait."""

from turnlog_projector.database import Database, scalar
from turnlog_projector.errors import ServerUnavailable


def check_not_restoring(connection: Database) -> None:
    """Raises `ServerUnavailable` between the moment at which a restored archive is there, and the
    one at which its read models and its sessions in Redis are: an audit in between would find every
    session lost, and nobody's."""
    if scalar(connection, "SELECT count(*) FROM turnlog.restore"):
        raise ServerUnavailable(
            "an archive is being restored; where that broke off, run "
            "`turnlog archive restore` again"
        )
