"""A projector worker: takes partitions, projects what changed, audits, goes on after any outage."""

import logging
import time
import traceback
from collections.abc import Callable, Iterator

import psycopg
import redis

from turnlog_producers.meta import LogMeta, check_partitions, read_meta
from turnlog_projector.audit import audit, settle
from turnlog_projector.batch import LostPartition
from turnlog_projector.database import (
    check_redis,
    check_schema,
    connect_postgres,
    connect_redis,
    one_line,
)
from turnlog_projector.erase_duty import EraseDuty
from turnlog_projector.errors import NotReady, ServerUnavailable
from turnlog_projector.init import check_same_log
from turnlog_projector.leases import Leases
from turnlog_projector.log import LogReader, SessionKey
from turnlog_projector.masses import Masses
from turnlog_projector.projection import AnchorLost, Projection, StreamBroken
from turnlog_projector.restoring import check_not_restoring
from turnlog_projector.retention_duty import RetentionDuty
from turnlog_projector.search_duty import SearchDuty
from turnlog_projector.settings import Settings
from turnlog_projector.trim_duty import TrimDuty
from turnlog_projector.wakes import Wakes
from turnlog_projector.young import analyse_young
from turnlog_schemas.errors import TurnlogError
from turnlog_schemas.ids import partition_of

_LOOK_SECONDS = 2.0
_BACKOFF_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0)
_TRANSIENT = (
    psycopg.Error,
    redis.RedisError,
    ServerUnavailable,
    OSError,
)

logger = logging.getLogger(__name__)


class Worker:
    """One worker; `run` returns when `stopping` answers True.

    Raises `WrongLog`, `NotReady`, `UnsafeServer`, `Misconfigured` or `MassParking` when an operator
    has to do something first.
    Everything else, such as a server that is away, it outlives.
    """

    def __init__(self, settings: Settings, stopping: Callable[[], bool]) -> None:
        self.settings = settings
        self.stopping = stopping
        self._failures = 0
        self._reason = ""
        self._run_id = ""
        self._masses = Masses(limit=settings.park_limit, percent=settings.park_percent)
        self._resumed = False

    def run(self) -> None:
        while not self.stopping():
            try:
                self._connected()
            except _TRANSIENT as error:
                self._wait_after(one_line(error))
            except TurnlogError:
                raise
            except Exception as error:  # a fault of ours; its text may hold what people wrote
                place = traceback.extract_tb(error.__traceback__)[-1]
                self._wait_after(
                    f"{type(error).__name__} in {place.name} ({place.filename}:{place.lineno})"
                )

    def _wait_after(self, reason: str) -> None:
        if reason != self._reason:
            logger.warning("projection waits: %s", reason)
        self._reason = reason
        pause = _BACKOFF_SECONDS[min(self._failures, len(_BACKOFF_SECONDS) - 1)]
        self._failures += 1
        until = time.monotonic() + pause
        while time.monotonic() < until and not self.stopping():
            time.sleep(min(0.1, pause))

    def _connected(self) -> None:
        """Work over one connection to each server, until one fails or the worker is to stop."""
        client = connect_redis(self.settings.redis_url)
        listener = connect_redis(self.settings.redis_url)
        wakes = Wakes(listener)
        try:
            with connect_postgres(
                self.settings.postgres_url, application_name="turnlog projector"
            ) as connection:
                check_schema(connection)
                check_redis(client)
                row = connection.execute("SELECT log_id, partitions FROM turnlog.log").fetchone()
                if row is None:
                    raise NotReady("the database belongs to no log yet: run `turnlog init`")
                meta = check_same_log(read_meta(client), LogMeta(row[0], row[1]))
                check_partitions(meta, self.settings.partitions)
                if not self._resumed:
                    self._masses.resume(connection)
                    self._resumed = True
                log = LogReader(client, meta.partitions)
                projection = Projection(log, connection, self._masses)
                leases = Leases(connection, lease_seconds=self.settings.lease_seconds)
                wakes.subscribe()
                audit_now = self._restarted(client)
                with SearchDuty(self.settings.postgres_url) as searching:
                    duty = _Duty(
                        *(self, projection, leases, wakes, meta, searching), audit_now=audit_now
                    )
                    duty.run()
                leases.release()
        finally:
            wakes.close()
            client.close()
            listener.close()

    def _restarted(self, client: redis.Redis) -> bool:
        """Whether this is another run of the server than before: it may have lost its newest
        events."""
        before, self._run_id = self._run_id, str(client.info("server").get("run_id", ""))
        return before not in ("", self._run_id)

    def works(self) -> None:
        """Note that everything found was projected (again): answering servers are not enough."""
        if self._failures:
            logger.warning("projection goes on")
        self._failures = 0
        self._reason = ""


class _Duty:
    """What a connected worker does, again and again."""

    def __init__(
        self,
        worker: Worker,
        projection: Projection,
        leases: Leases,
        wakes: Wakes,
        meta: LogMeta,
        searching: SearchDuty,
        *,
        audit_now: bool,
    ) -> None:
        self.worker = worker
        self.projection = projection
        self.leases = leases
        self.wakes = wakes
        self.meta = meta
        self.searching = searching
        self.owned: set[int] = set()
        self.dirty: set[int] = set()
        self.audits: dict[int, Iterator[int]] = {}
        self.without_anchor: set[int] = set()
        """Audited because the index lost the anchor: nothing to project from until that is done.
        During any other audit projection goes on, and the audit waits for it."""
        self.next_audit: dict[int, float] = {}
        self.trimming = TrimDuty(worker.settings, projection.log, projection.connection)
        self.erasing = EraseDuty(projection)
        self.retaining = RetentionDuty(worker.settings, projection.log, projection.connection)
        self._audit_now = audit_now
        self._next_tick = 0.0
        self._next_look = 0.0

    def run(self) -> None:
        busy_since: float | None = None
        while not self.worker.stopping():
            now = time.monotonic()
            if now >= self._next_tick:
                self._tick(now)
            if now >= self._next_look:
                self._look(now)
            self._step_audits(now)
            self.trimming.step(self.owned - self.without_anchor, busy=bool(self.dirty & self.owned))
            self._erase()
            self.retaining.step(self.owned - self.without_anchor)
            if self.dirty & self.owned:
                self._project()
                self.searching.tell(busy=True)
                busy_since = busy_since or now
                continue
            self.dirty.clear()
            if busy_since is not None and now - busy_since > 1.0:
                # After a long run the subscription is behind by all that is projected already.
                self.wakes.subscribe()
                self._next_look = 0.0
                busy_since = None
                continue
            busy_since = None
            if not self.audits:
                self.worker.works()
                self.searching.tell(busy=False)
                self._wait(now)

    def _wait(self, now: float) -> None:
        duties = (self.trimming.next_at, self.erasing.next_at, self.retaining.next_at)
        changed, damaged = self.wakes.wait(min(self._next_tick, self._next_look, *duties) - now)
        self.dirty |= changed
        for field in damaged:
            tenant, _, session_id = field.partition(":")
            partition = partition_of(tenant, session_id, self.projection.log.partitions)
            if partition in self.owned:
                key = SessionKey(partition, tenant, session_id)
                self._settle(key, "a producer found it damaged")

    def _tick(self, now: float) -> None:
        check_not_restoring(self.projection.connection)
        owned = self.leases.tick()
        if owned != self.owned:
            logger.info("owns %d partitions", len(owned))
            self.projection.reload(owned)
            self.audits = {p: steps for p, steps in self.audits.items() if p in owned}
            self.without_anchor &= owned
            spread = 0.0 if self._audit_now else self.worker.settings.audit_seconds
            self._audit_now = False
            for place, partition in enumerate(sorted(owned - self.owned)):
                self.next_audit[partition] = now + spread * (place + 1) / max(len(owned), 1)
            self.owned = owned
            self.searching.owned = frozenset(owned)
            self._next_look = 0.0
        analyse_young(self.projection.connection, self.projection.generation)
        self._next_tick = now + self.leases.lease_seconds / 3

    def _look(self, now: float) -> None:
        """Compare the ends of all owned partitions with their offsets."""
        partitions = sorted(self.owned)
        ends = self.projection.log.index_ends(partitions)
        for partition, end in zip(partitions, ends, strict=True):
            offset = self.projection.offsets[partition]
            if end is None:
                if offset.n and partition not in self.without_anchor:
                    self._start_audit(partition, move_anchor=True)
            elif (end.n, end.session, end.last) != (offset.n, offset.session, offset.event_id):
                self.dirty.add(partition)
        self._next_look = now + _LOOK_SECONDS

    def _project(self) -> None:
        partitions = sorted((self.dirty & self.owned) - self.without_anchor)
        if not partitions:
            self.dirty -= self.without_anchor
            return
        try:
            events, more = self.projection.project(partitions)
            if events:
                self.worker.works()
            self.dirty = more | (self.dirty - set(partitions))
        except AnchorLost as error:
            logger.warning("%s: auditing it", error)
            self._start_audit(error.partition, move_anchor=True)
        except StreamBroken as error:
            self._settle(error.key, error.reason)
        except LostPartition as error:
            logger.info("%s", error)
            self._next_tick = 0.0

    def _check_log(self) -> None:
        """Before anything is put right in Redis: one that was emptied, or holds another log by now,
        must not be refilled unless an operator says so. Raises `WrongLog`."""
        check_same_log(read_meta(self.projection.log.client), self.meta)
        check_not_restoring(self.projection.connection)

    def _settle(self, key: SessionKey, reason: str) -> None:
        self._check_log()
        try:
            settle(self.projection, key, reason)
        except LostPartition as error:
            logger.info("%s", error)
        self.dirty.add(key.partition)

    def _erase(self) -> None:
        for key in self.erasing.step(self.owned - self.without_anchor):
            self._settle(key, "it is to be cleaned of what was erased")

    def _start_audit(self, partition: int, *, move_anchor: bool) -> None:
        self.audits[partition] = audit(self.projection, partition, move_anchor=move_anchor)
        if move_anchor:
            self.dirty.discard(partition)
            self.without_anchor.add(partition)
        else:
            self.dirty.add(partition)

    def _step_audits(self, now: float) -> None:
        """One step of each audit under way; start those that are due."""
        for partition in [p for p, due in self.next_audit.items() if due <= now]:
            self.next_audit[partition] = now + self.worker.settings.audit_seconds
            if partition in self.owned and partition not in self.audits:
                self._start_audit(partition, move_anchor=False)
        if self.audits:
            self._check_log()
        for partition, steps in list(self.audits.items()):
            try:
                if next(steps, None) is not None:
                    continue
            except LostPartition as error:
                logger.info("%s", error)
            del self.audits[partition]
            self.without_anchor.discard(partition)
            self.dirty.add(partition)
