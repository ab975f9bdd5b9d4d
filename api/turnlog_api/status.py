"""How far the read models are behind the log, partition by partition, and how much there is."""

from typing import Any, NamedTuple

from pydantic_core import from_json

from turnlog_api.logreads import LogReads
from turnlog_api.queries import Query
from turnlog_api.reading import Reader
from turnlog_api.rows import Rows
from turnlog_producers.errors import Misconfigured, Unavailable
from turnlog_producers.keys import heads_key, index_key
from turnlog_projector.errors import NotReady, ServerUnavailable

MAX_COUNTED = 1000
"""Index entries read of one partition to count its events; beyond, each counts as one."""


class PartitionLag(NamedTuple):
    """`index_end` is the newest index entry in Redis, `offset` the one that is projected. The
    events behind are at least `events_behind`, and just that many when `exact`."""

    partition: int
    index_end: int | None
    offset: int | None
    entries_behind: int | None
    events_behind: int | None
    exact: bool


class LogState(NamedTuple):
    index_ends: list[int]
    sessions: int
    version: str
    used_memory_bytes: int
    max_memory_bytes: int
    eviction: str
    """maxmemory-policy; '' when the server does not tell."""


async def read_status(log: LogReads, reader: Reader) -> dict[str, Any]:
    """The status as a JSON object. A server that does not answer is reported, not raised. `advice`
    says what an operator has to do, a line each; it is empty when nothing is wrong."""
    state, redis_error = None, None
    try:
        meta = await log.meta()
        state = await _log_state(log, meta.partitions)
    except (Unavailable, Misconfigured) as error:
        meta, redis_error = None, str(error)
    models, postgres_error = None, None
    try:
        models = await reader.fetch(_models())
    except (ServerUnavailable, NotReady) as error:
        postgres_error = str(error)
    lags = await _lags(log, state, models)
    known = [lag for lag in lags if lag.events_behind is not None]
    models = models or {}
    offsets: list[list[int]] = models.get("offsets") or []
    watch: dict[str, Any] = models.get("watch") or {}
    status: dict[str, Any] = {
        "log_id": meta.log_id if meta else models.get("log_id"),
        "same_log": None if not meta or not models else meta.log_id == models["log_id"],
        "generation": models.get("generation"),
        "lag": {
            "entries": sum(lag.entries_behind or 0 for lag in known) if known else None,
            "events": sum(lag.events_behind or 0 for lag in known) if known else None,
            "exact": all(lag.exact for lag in known),
        },
        "search": models.get("search"),
        "totals": {
            "sessions": state.sessions if state else None,
            "events_archived": sum(row[2] for row in offsets),
            "turns_estimated": models.get("turns_estimated"),
            "parked": models.get("parked"),
            "skipped": models.get("skipped"),
            "quarantined": watch.get("quarantined"),
            "healings": models.get("healings"),
        },
        "healings": watch.get("healings"),
        "stopped": watch.get("stopped"),
        "audited_since": watch.get("audited_since"),
        "redis": {
            "error": redis_error,
            "version": state.version if state else None,
            "used_memory_bytes": state.used_memory_bytes if state else None,
            "max_memory_bytes": state.max_memory_bytes if state else None,
            "eviction": state.eviction if state else None,
        },
        "postgres": {
            "error": postgres_error,
            "version": models.get("version"),
            "database_bytes": models.get("database_bytes"),
            "archive_bytes": models.get("archive_bytes"),
            "read_model_bytes": models.get("read_model_bytes"),
        },
        "partitions": [lag._asdict() for lag in lags],
    }
    return {**status, "advice": advice(status)}


def advice(status: dict[str, Any]) -> list[str]:
    """What an operator has to do about a status, a line each, the most urgent first."""
    redis, totals, healings = status["redis"], status["totals"], status["healings"]
    lines = [error for error in (redis["error"], status["postgres"]["error"]) if error]
    if status["same_log"] is False:
        lines.append("Redis and Postgres belong to different logs: see `turnlog repair --help`")
    if redis["eviction"] not in (None, "", "noeviction"):
        lines.append(
            f"Redis may evict events: its maxmemory-policy is {redis['eviction']}; set it to "
            "noeviction"
        )
    if stopped := status["stopped"]:
        lines.append(
            f"the projector stopped at {stopped['at']} before it parked {stopped['sessions']:,} "
            "sessions at once: put a mended release in place and start it again"
        )
    if healings and (lost := healings["events_lost_lately"]):
        lines.append(
            f"{lost:,} events were lost for good within a week, neither Redis nor the archive has "
            "them: have their producers send them again, and see that Redis writes every append to "
            "its disk (appendfsync always)"
        )
    quarantined = totals["quarantined"] or 0
    if quarantined:
        lines.append(
            f"{quarantined:,} quarantined, since what Redis holds of them contradicts the archive: "
            "`turnlog parked` tells why; mend it, then `turnlog parked --retry SESSION`"
        )
    if waiting := (totals["parked"] or 0) - quarantined:
        lines.append(f"{waiting:,} parked: see `turnlog parked`")
    return lines


def _models() -> Query[dict[str, Any]]:
    def read(rows: Rows) -> dict[str, Any]:
        found = rows.raw(0, 1)
        assert found is not None
        return {"generation": rows.number(0, 0), **from_json(found)}

    return Query("status", frozenset(), {}, read)


async def _log_state(log: LogReads, partitions: int) -> LogState:
    ends = [("XREVRANGE", index_key(p), "+", "-", "COUNT", 1) for p in range(partitions)]
    counts = [("HLEN", heads_key(p)) for p in range(partitions)]
    memory, server, *replies = await log.link.calls(
        [("INFO", "memory"), ("INFO", "server"), *ends, *counts]
    )
    info = _info(memory) | _info(server)
    return LogState(
        [_number(reply[0][0]) if reply else 0 for reply in replies[:partitions]],
        sum(replies[partitions:]),
        info.get("valkey_version") or info.get("redis_version", ""),
        int(info.get("used_memory", "0")),
        int(info.get("maxmemory", "0")),
        info.get("maxmemory_policy", ""),
    )


async def _lags(
    log: LogReads, state: LogState | None, models: dict[str, Any] | None
) -> list[PartitionLag]:
    ends: dict[int, int] = dict(enumerate(state.index_ends)) if state else {}
    rows: list[list[int]] = (models or {}).get("offsets") or []
    offsets = {row[0]: row[1] for row in rows}
    behind = {p: end - offsets[p] for p, end in ends.items() if p in offsets}
    counted = await _count(log, {p: offsets[p] for p, entries in behind.items() if entries > 0})
    lags: list[PartitionLag] = []
    for p in sorted(ends.keys() | offsets.keys()):
        entries = max(behind[p], 0) if p in behind else None
        uncounted = max((entries or 0) - MAX_COUNTED, 0)
        events = None if entries is None else counted.get(p, 0) + uncounted
        lags.append(PartitionLag(p, ends.get(p), offsets.get(p), entries, events, uncounted == 0))
    return lags


async def _count(log: LogReads, behind: dict[int, int]) -> dict[int, int]:
    """Partition -> events of the index entries behind the offset."""
    try:
        replies = await log.link.calls(
            [
                ("XRANGE", index_key(p), f"{n + 1}-0", "+", "COUNT", MAX_COUNTED)
                for p, n in behind.items()
            ]
        )
    except Unavailable:
        return {}
    return {
        p: sum(int(entry[1][entry[1].index(b"count") + 1]) for entry in reply)
        for p, reply in zip(behind, replies, strict=True)
    }


def _number(entry_id: bytes) -> int:
    return int(entry_id.split(b"-")[0])


def _info(text: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in text.decode().splitlines() if ":" in line)
    return {name: value for name, _, value in lines}
