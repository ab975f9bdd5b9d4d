"""Everything that both stores hold, as bytes: to look for what must not be there."""

from typing import Any, cast

import redis
from psycopg import sql

from turnlog_projector.database import Database


def dump_postgres(connection: Database) -> dict[str, bytes]:
    """Every row of every table of every schema, bytea and large values as they are."""
    tables = connection.execute(
        "SELECT table_schema, table_name FROM information_schema.tables"
        " WHERE table_type = 'BASE TABLE'"
        " AND table_schema NOT IN ('pg_catalog', 'information_schema')"
    ).fetchall()
    found: dict[str, bytes] = {}
    for schema, table in tables:
        query = sql.SQL("SELECT * FROM {}").format(sql.Identifier(schema, table))
        rows = connection.execute(query, binary=True).fetchall()
        found[f"{schema}.{table}"] = b"\n".join(_bytes(value) for row in rows for value in row)
    return found


def dump_redis(client: redis.Redis) -> dict[str, bytes]:
    """Every key: its name, and its value as DUMP has it and as its type is read."""
    found: dict[str, bytes] = {}
    for key in cast(list[bytes], client.keys("*")):
        kind = cast(bytes, client.type(key)).decode()
        if kind == "none":  # gone meanwhile
            continue
        command = [word or key for word in _READ[kind]]
        value = cast(Any, client).execute_command(*command)
        found[key.decode()] = b"\n".join((key, client.dump(key) or b"", _bytes(value)))
    return found


_READ: dict[str, tuple[str | None, ...]] = {
    "string": ("GET", None),
    "hash": ("HGETALL", None),
    "stream": ("XRANGE", None, "-", "+"),
    "list": ("LRANGE", None, "0", "-1"),
    "set": ("SMEMBERS", None),
    "zset": ("ZRANGE", None, "0", "-1"),
}
"""How to read a key of each type; None stands for its name."""


def holding(dump: dict[str, bytes], text: str) -> list[str]:
    """The tables or keys in which a text stands."""
    return sorted(name for name, content in dump.items() if text.encode() in content)


def _bytes(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, dict):
        value = list(cast(dict[Any, Any], value).items())
    if isinstance(value, list | tuple | set):
        return b"\n".join(_bytes(each) for each in cast(list[Any], value))
    return str(value).encode()
