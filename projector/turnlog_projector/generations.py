"""The generations of the read models: which there are, and up to where each holds the log.

Of the live generation `turnlog.offsets` tells how far it is; of every other one
`turnlog.positions`, which is written by the same transactions as its rows.
"""

from typing import NamedTuple

from turnlog_projector.database import Database, scalar
from turnlog_projector.log import SessionKey
from turnlog_projector.sqlfiles import statement
from turnlog_schemas.errors import TurnlogError


class NoSuchGeneration(TurnlogError):
    """There is no generation of that number or name, or it cannot be used for this."""


class Generation(NamedTuple):
    """A row of `turnlog.generations`."""

    generation: int
    state: str
    """building, live, kept or until."""
    name: str | None
    until_recorded_at: int | None
    """Of a generation to look at: the last ms since 1970 that it holds events of."""
    until_seq: int | None
    tenant: str | None
    session_id: str | None
    """Of a generation to look at: the one session that it holds; None: all."""

    def has(self, tenant: str, session_id: str) -> bool:
        """Whether it is meant to hold this session at all."""
        return self.session_id is None or (self.tenant, self.session_id) == (tenant, session_id)


class Reach(NamedTuple):
    """Up to where a generation that is not live holds a session: fold its events up to place `pos`
    in the archive and, if given, up to `seq`."""

    generation: int
    state: str
    pos: int
    seq: int | None


def active_generation(connection: Database) -> int:
    """The number of the live generation."""
    return scalar(connection, "SELECT generation FROM turnlog.active")


def find_generation(connection: Database, wanted: int | str | None) -> Generation:
    """A generation by number or name; without either the live one. Raises `NoSuchGeneration`."""
    name = str(wanted) if wanted is not None else None
    row = connection.execute(statement("find_generation"), {"wanted": name}).fetchone()
    if row is None:
        raise NoSuchGeneration(f"there is no generation {wanted}; see `turnlog generations`")
    return Generation(*row)


def positions_of(connection: Database, generation: int) -> dict[int, int]:
    """Up to which place in the archive a generation that is not live holds each partition."""
    rows = connection.execute(statement("positions_of"), (generation,))
    return {row[0]: row[1] for row in rows}


def lock_positions(connection: Database, generation: int) -> dict[int, int]:
    """The same; they stay as they are until the transaction ends."""
    rows = connection.execute(statement("lock_positions"), (generation,))
    return {row[0]: row[1] for row in rows}


def move_positions(connection: Database, generation: int, positions: dict[int, int]) -> None:
    """Note how far a generation is now: in the transaction that writes its rows."""
    partitions = list(positions)
    connection.execute(
        statement("put_positions"), (generation, partitions, [positions[p] for p in partitions])
    )


def reaches(connection: Database, key: SessionKey) -> list[Reach]:
    """Every generation that is not live and may hold the session, each with the point up to which
    it does. Whoever changes what the log says of a session refolds it there up to that point, in
    one transaction with this: until it ends, nobody brings those generations further."""
    rows = connection.execute(statement("generation_reaches"), key._asdict())
    return [Reach(*row) for row in rows]


def drop_generation(connection: Database, generation: int) -> None:
    """Drop the tables of a generation that is not live, and its row."""
    with connection.transaction():
        row = connection.execute(
            "DELETE FROM turnlog.generations WHERE generation = %s AND state <> 'live' "
            "RETURNING generation",
            (generation,),
        ).fetchone()
        if row is None:
            raise NoSuchGeneration(
                f"generation {generation} is live, or there is none of that number"
            )
        connection.execute(statement("drop_generation", generation=generation))
