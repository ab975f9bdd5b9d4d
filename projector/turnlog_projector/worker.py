"""A projector worker: takes partitions, projects what changed, audits, goes on after any outage."""

import logging
import time
import traceback
from collections.abc import Callable
from datetime import timedelta

import psycopg
import redis

from turnlog_producers.meta import LogMeta, check_partitions, read_meta
from turnlog_projector.audit import settle
from turnlog_projector.audit_duty import AuditDuty
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
from turnlog_projector.rebuild_duty import RebuildDuty
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
_MANY_LOSSES = 10
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
                projection.trim_after = timedelta(days=self.settings.trim_after_days) or None
                leases = Leases(connection, lease_seconds=self.settings.lease_seconds)
                wakes.subscribe()
                with SearchDuty(self.settings.postgres_url) as searching:
                    duty = _Duty(self, projection, leases, wakes, meta, searching)
                    try:
                        duty.run()
                    finally:
                        duty.rebuilding.close()
                leases.release()
        finally:
            wakes.close()
            client.close()
            listener.close()

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
    ) -> None:
        self.worker = worker
        self.projection = projection
        self.leases = leases
        self.wakes = wakes
        self.meta = meta
        self.searching = searching
        self.owned: set[int] = set()
        self.dirty: set[int] = set()
        interval_s = worker.settings.audit_seconds
        self.auditing = AuditDuty(projection, interval_s=interval_s)
        self.trimming = TrimDuty(worker.settings, projection.log, projection.connection)
        self.erasing = EraseDuty(projection)
        self.retaining = RetentionDuty(worker.settings, projection.log, projection.connection)
        self.rebuilding = RebuildDuty(worker.settings, projection.connection)
        self._next_tick = 0.0
        self._next_look = 0.0
        self._losses = 0
        """How often in a row another worker was quicker."""
        self._not_before = 0.0
        """Nothing is projected before then: whoever else does it shall not be disturbed."""

    def run(self) -> None:
        busy_since: float | None = None
        while not self.worker.stopping():
            now = time.monotonic()
            if now >= self._next_tick:
                self._tick(now)
            if now >= self._next_look:
                self._look(now)
            audits = self._step_audits()
            self.trimming.step(
                self.owned - self.auditing.without_anchor, busy=bool(self.dirty & self.owned)
            )
            self._erase()
            self.retaining.step(self.owned - self.auditing.without_anchor)
            self.rebuilding.step()
            if self.dirty & self.owned and now >= self._not_before:
                self._project()
                self.searching.tell(busy=True)
                busy_since = busy_since or now
                continue
            if not self.dirty & self.owned:
                self.dirty.clear()
            if busy_since is not None and now - busy_since > 1.0:
                # After a long run the subscription is behind by all that is projected already.
                self.wakes.subscribe()
                self._next_look = 0.0
                busy_since = None
                continue
            busy_since = None
            if not self.auditing.under_way and not self.dirty:
                self.worker.works()
                self.searching.tell(busy=False)
            self._wait(0.0 if audits else self._patience(now))

    def _patience(self, now: float) -> float:
        """For how long nothing is due but what may come."""
        due = [self.trimming.next_at, self.erasing.next_at, self.retaining.next_at]
        due += [self._next_tick, self._next_look, self.auditing.next_at, self.rebuilding.next_at]
        if self.dirty:
            due.append(self._not_before)
        return max(min(due) - now, 0.0)

    def _wait(self, at_most: float) -> None:
        changed, damaged = self.wakes.wait(at_most)
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
            self.owned = owned
            self.searching.owned = frozenset(owned)
            self._next_look = 0.0
        self.auditing.own(owned, check_redis(self.projection.log.client))
        analyse_young(self.projection.connection, self.projection.generation)
        self._next_tick = now + self.leases.lease_seconds / 3

    def _look(self, now: float) -> None:
        """Compare the ends of all owned partitions with their offsets."""
        partitions = sorted(self.owned)
        ends = self.projection.log.index_ends(partitions)
        for partition, end in zip(partitions, ends, strict=True):
            offset = self.projection.offsets[partition]
            if end is None:
                if offset.n and partition not in self.auditing.without_anchor:
                    self._start_audit(partition, move_anchor=True)
            elif (end.n, end.session, end.last) != (offset.n, offset.session, offset.event_id):
                self.dirty.add(partition)
        self._next_look = now + _LOOK_SECONDS

    def _project(self) -> None:
        partitions = sorted((self.dirty & self.owned) - self.auditing.without_anchor)
        if not partitions:
            self.dirty -= self.auditing.without_anchor
            return
        try:
            events, more = self.projection.project(partitions)
            if events:
                self.worker.works()
            self._losses = 0
            self.dirty = more | (self.dirty - set(partitions))
        except AnchorLost as error:
            logger.warning("%s: auditing it", error)
            self._start_audit(error.partition, move_anchor=True)
        except StreamBroken as error:
            self._settle(error.key, error.reason, unindexed=True)
        except LostPartition as error:
            logger.info("%s", error)
            self._next_tick = 0.0
            self._stand_back(error)

    def _stand_back(self, error: LostPartition) -> None:
        """The first loss is the way of things; a row of them is a fault, or a fight."""
        self._losses += 1
        if self._losses == _MANY_LOSSES:
            logger.warning("overtaken %d times in a row: %s", self._losses, error)
        longest = self.leases.lease_seconds / 4
        pause = min(0.01 * 2 ** min(self._losses - 1, 10), longest) if self._losses > 1 else 0.0
        self._not_before = time.monotonic() + pause

    def _check_log(self) -> None:
        """Before anything is put right in Redis: one that was emptied, or holds another log by now,
        must not be refilled unless an operator says so. Raises `WrongLog`."""
        check_same_log(read_meta(self.projection.log.client), self.meta)
        check_not_restoring(self.projection.connection)

    def _settle(self, key: SessionKey, reason: str, *, unindexed: bool = False) -> None:
        self._check_log()
        try:
            settle(self.projection, key, reason, unindexed=unindexed)
        except LostPartition as error:
            logger.info("%s", error)
        self.dirty.add(key.partition)

    def _erase(self) -> None:
        for key in self.erasing.step(self.owned - self.auditing.without_anchor):
            self._settle(key, "it is to be cleaned of what was erased")

    def _start_audit(self, partition: int, *, move_anchor: bool) -> None:
        self.auditing.start(partition, move_anchor=move_anchor)
        if move_anchor:
            self.dirty.discard(partition)

    def _step_audits(self) -> bool:
        """One step of each audit under way; whether there was anything to do."""
        self.dirty |= self.auditing.start_due()
        if not self.auditing.under_way:
            return False
        self._check_log()
        worked, done = self.auditing.step()
        self.dirty |= done
        return worked
