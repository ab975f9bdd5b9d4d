"""Erasure on disk: the files of Redis keep what was deleted until they are written anew.

One rewriting serves every erasure that Redis was cleaned of before it began, and rewritings keep a
distance from each other. Whichever worker comes first does it.
"""

import logging
from datetime import datetime
from typing import Any, NamedTuple, cast

import redis
from redis.exceptions import ResponseError

from turnlog_projector.database import Database, one_line, scalar
from turnlog_projector.sqlfiles import statement

BETWEEN_SECONDS = 10.0
"""The least time between two rewritings."""

_SHARE = 10
"""Rewriting takes at most one part in so many of the time."""
_LOOK_SECONDS = 0.2
_AFTER_FAILURE_SECONDS = 60.0
_LOCK = 0x65726173757265  # "erasure"

REWRITTEN = "rewritten"
NO_FILES = "the server writes none"

logger = logging.getLogger(__name__)


class _Running(NamedTuple):
    """A rewriting under way."""

    upto: datetime
    """It serves the erasures that Redis was cleaned of until then."""
    run_id: str
    commands: tuple[str, ...]
    """What the server has still to do."""
    asked: bool
    """It was asked to do the first of them."""


class Files:
    """Has the files of Redis rewritten after erasures. `step` is to be called again and again; when
    it raises an error of a driver, another worker begins anew."""

    def __init__(self, client: redis.Redis, connection: Database) -> None:
        self._client = client
        self._connection = connection
        self._running: _Running | None = None
        self._next = 0.0
        self._between = BETWEEN_SECONDS
        self.waiting = False
        """Whether a rewriting is under way or due: then look again soon."""

    def step(self, now: float) -> None:
        """Begin a rewriting if one is due; look how it is doing; note that it is done. `now` is
        that of a monotonic clock, in seconds."""
        if now < self._next:
            return
        self._next = now + _LOOK_SECONDS
        if self._running is None:
            self._running = self._begin()
        if self._running is not None:
            self._running = self._go_on(self._running, now)
            if self._running is None:
                self._connection.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))

    def _begin(self) -> _Running | None:
        row = self._connection.execute(
            statement("erasures_in_files"), {"between": self._between}
        ).fetchone()
        self.waiting = row is not None and row[0] is not None
        if row is None or row[0] is None or row[2]:
            return None
        if not scalar(self._connection, "SELECT pg_try_advisory_lock(%s)", _LOCK):
            return None
        logger.info("having the files of Redis rewritten after %d erasures", row[1])
        run_id = str(self._client.info("server").get("run_id"))
        return _Running(row[0], run_id, self._commands(), asked=False)

    def _commands(self) -> tuple[str, ...]:
        """What makes this server write its files anew."""
        commands: list[str] = []
        if self._persistence().get("aof_enabled"):
            commands.append("BGREWRITEAOF")
        try:
            found = cast(dict[str, str], self._client.config_get("save"))
        except ResponseError:
            found = {}  # not for us to know: then it is not for us to save either
        if found.get("save"):
            commands.append("BGSAVE")
        return tuple(commands)

    def _persistence(self) -> dict[str, Any]:
        return self._client.info("persistence")

    def _go_on(self, running: _Running, now: float) -> _Running | None:
        """One step further; None when it is over, well or not."""
        if not running.commands:
            self._note(running, NO_FILES)
            return None
        info = self._persistence()
        if any(
            info.get(name)
            for name in (
                "aof_rewrite_in_progress",
                "aof_rewrite_scheduled",
                "rdb_bgsave_in_progress",
            )
        ):
            return running
        if not running.asked:
            return self._ask(running)
        run_id = str(self._client.info("server").get("run_id"))
        status = "aof_last_bgrewrite_status"
        if running.commands[0] == "BGSAVE":
            status = "rdb_last_bgsave_status"
        if run_id != running.run_id or info.get(status) != "ok":
            logger.warning(
                "Redis could not write its files anew after an erasure (%s): see its log; trying "
                "again in %.0f s",
                running.commands[0],
                _AFTER_FAILURE_SECONDS,
            )
            self._next = now + _AFTER_FAILURE_SECONDS
            return None
        if len(running.commands) > 1:
            return running._replace(commands=running.commands[1:], asked=False)
        seconds = max(int(info.get("aof_last_rewrite_time_sec", 0)), 0)
        self._between = max(BETWEEN_SECONDS, float(_SHARE * seconds))
        self._note(running, REWRITTEN)
        return None

    def _ask(self, running: _Running) -> _Running | None:
        """Ask the server. One that is just busy with an earlier rewriting is asked again."""
        try:
            self._client.execute_command(running.commands[0])
        except ResponseError as error:
            if "in progress" in str(error).lower():
                return running
            reason = f"{running.commands[0]} was refused: {one_line(error)}"
            logger.warning(
                "the files of Redis keep what was erased until they are written anew: %s", reason
            )
            self._note(running, reason)
            return None
        return running._replace(asked=True)

    def _note(self, running: _Running, files: str) -> None:
        self._connection.execute(
            statement("erased_in_files"), {"upto": running.upto, "files": files}
        )
