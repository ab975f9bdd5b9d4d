"""Statistics for young tables.

Autovacuum comes by once a minute. Until it has analysed a table, the planner takes any index whose
first columns fit, as it believes that few rows have the same: to find one turn it then reads the
whole session, and a batch that names thousands of turns of a long session takes minutes.
"""

from typing import Any

from psycopg import sql

from turnlog_projector.database import Database
from turnlog_projector.sqlfiles import statement


def analyse_young(connection: Database, generation: int) -> list[str]:
    """Analyse those of our tables that have grown a lot; returns their names. Costs next to nothing
    when there are none. Tables that somebody else analyses at this moment are left out."""
    schemas = ["turnlog", f"g{generation}"]
    return _analyse(
        connection, connection.execute(statement("young_tables"), (schemas,)).fetchall()
    )


def analyse_filled(connection: Database, generation: int) -> list[str]:
    """The same, for those that were empty a moment ago; also within the transaction that fills
    them, of which nobody has counted anything yet."""
    rows = connection.execute(statement("unknown_tables", generation=generation)).fetchall()
    return _analyse(connection, rows)


def _analyse(connection: Database, rows: list[Any]) -> list[str]:
    for schema, table in rows:
        connection.execute(
            sql.SQL("ANALYZE (SKIP_LOCKED) {}").format(sql.Identifier(schema, table))
        )
    return sorted(f"{schema}.{table}" for schema, table in rows)
