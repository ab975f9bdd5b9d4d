"""Which log a Redis holds: one value, set once by whoever comes first."""

from typing import Any, NamedTuple
from uuid import uuid4

from pydantic_core import from_json, to_json
from redis import Redis

from turnlog_producers.errors import Misconfigured
from turnlog_producers.keys import META, heads_key
from turnlog_schemas.ids import DEFAULT_PARTITIONS


class LogMeta(NamedTuple):
    """The identity of a log and the number of its partitions, which never changes."""

    log_id: str
    partitions: int

    @classmethod
    def parse(cls, value: bytes | str) -> "LogMeta":
        """Raises `Misconfigured` for what no client of ours wrote."""
        try:
            fields: Any = from_json(value)
            log_id, partitions = fields["log_id"], fields["partitions"]
        except (ValueError, LookupError, TypeError):
            log_id = partitions = None
        if not isinstance(log_id, str) or type(partitions) is not int or partitions < 1:
            raise Misconfigured(f"Redis key {META} holds no log of Turnlog: use another Redis")
        return cls(log_id, partitions)

    def format(self) -> bytes:
        return to_json(self._asdict())


def new_meta(partitions: int | None) -> LogMeta:
    """The identity of a log that does not exist yet."""
    return LogMeta(str(uuid4()), partitions or DEFAULT_PARTITIONS)


FIRST_HEADS = tuple(heads_key(partition) for partition in range(DEFAULT_PARTITIONS))
"""A log that holds anything is likely to have sessions in one of these."""


def check_new(with_sessions: int) -> None:
    """Refuse to begin a log where there is one already: somebody has deleted its identity, and
    another number of partitions would scatter its sessions. `with_sessions`: how many of
    `FIRST_HEADS` exist."""
    if with_sessions:
        raise Misconfigured(
            f"Redis holds sessions of a log, but its key {META} is gone: run "
            "`turnlog repair --adopt`, which gives it back"
        )


def check_partitions(found: LogMeta, wanted: int | None) -> LogMeta:
    """Refuse a client that was configured for another number of partitions."""
    if wanted is not None and wanted != found.partitions:
        raise Misconfigured(
            f"TURNLOG_PARTITIONS is {wanted}, but the log in this Redis has {found.partitions}: "
            "leave the setting out"
        )
    return found


def read_meta(client: Redis) -> LogMeta | None:
    """The log that this Redis holds, or None when it holds none."""
    value: bytes | str | None = client.get(META)
    return LogMeta.parse(value) if value is not None else None


def ensure_meta(client: Redis, *, partitions: int | None = None) -> LogMeta:
    """The log that this Redis holds; a new one when it holds none."""
    found = read_meta(client)
    if found is None:
        with_sessions = client.exists(*FIRST_HEADS)
        found = read_meta(client)  # another may have come first, and appended already
        if found is None:
            check_new(with_sessions)
            client.set(META, new_meta(partitions).format(), nx=True)
            found = read_meta(client)
            assert found is not None
    return check_partitions(found, partitions)
