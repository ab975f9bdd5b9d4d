"""What Postgres will never take, told from what it may take the next time."""

import psycopg
from psycopg import errors


class Refused(Exception):
    """Postgres refuses rows of this batch for what they hold: asked again, it will refuse them
    again. The text says why and never holds what people wrote."""


_FOR_THEIR_CONTENT = (
    psycopg.DataError,
    psycopg.IntegrityError,
    errors.ProgramLimitExceeded,
    errors.StatementTooComplex,
    errors.InternalError_,  # such as more than 1 GB in one value
    UnicodeError,
    OverflowError,
)


def refusal(error: Exception) -> Refused | None:
    """The refusal that a failed transaction means; None when the next attempt may succeed."""
    if not isinstance(error, _FOR_THEIR_CONTENT):
        return None
    about = type(error).__name__.rstrip("_")
    if isinstance(error, psycopg.Error):
        # Only names of ours: messages and details may quote values.
        names = (error.sqlstate, error.diag.table_name, error.diag.column_name)
        about = " ".join([about, *[name for name in (*names, error.diag.constraint_name) if name]])
    return Refused(f"Postgres refuses its rows: {about}")
