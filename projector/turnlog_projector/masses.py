"""Telling a few corrupt sessions from a faulty release, which must not park the world.

Of the sessions that were folded last it is remembered which had to be parked. A batch that would
make those more than a limit, and more than a share of all, is not written: the projector stops.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence

from turnlog_projector.batch import Parked
from turnlog_projector.database import Database
from turnlog_projector.errors import MassParking
from turnlog_projector.log import SessionKey
from turnlog_projector.sqlfiles import statement

SESSIONS = 1000
"""So many of the sessions folded last are remembered."""


class Masses:
    """The sessions that one worker has folded last.

    After a stop it goes on from what the stop has left in the database: a restart without a mended
    release parks nothing more. `limit` 0: never stop.
    """

    def __init__(self, *, limit: int, percent: float) -> None:
        self._limit = limit
        self._percent = percent
        self._recent: OrderedDict[SessionKey, bool] = OrderedDict()
        """Whether each was parked."""
        self._on_trial = 0
        """Sessions that still have to be folded after a stop before it is over."""

    def resume(self, connection: Database) -> None:
        """Go on from the stop that is not over yet, if there is one."""
        row = connection.execute(statement("mass_parking_now")).fetchone()
        self._recent.clear()
        self._on_trial = 0
        if row is None:
            return
        folded, parked, refused = row
        for number in range(folded + parked):
            self._recent[SessionKey(-1, "", str(number))] = number < parked
        self._on_trial = min(refused, SESSIONS)

    def check(
        self,
        connection: Database,
        sessions: Iterable[SessionKey],
        parked: Mapping[SessionKey, Parked],
    ) -> None:
        """Before a batch is written that folds some sessions and parks some of them. Raises
        `MassParking`, and notes the stop in the database."""
        if not parked or not self._limit:
            return
        known = [key for key, bad in self._recent.items() if bad and key not in parked]
        bad = len(known) + len(parked)
        looked_at = len(self._recent.keys() | set(sessions))
        if bad < self._limit or bad * 100 < self._percent * looked_at:
            return
        first = min(parked.values(), key=lambda each: each.key)
        example = f"{first.key.field} at seq {first.seq}: {first.error}"
        good = sum(not bad for bad in self._recent.values())
        connection.execute(statement("put_mass_parking"), (good, len(known), len(parked), example))
        raise MassParking(
            f"stopped before {len(parked):,} sessions were parked, {bad:,} of {looked_at:,} looked "
            f"at last, such as {example}. If a release of Turnlog or of a producer is at fault, "
            "start again with a mended one, then run `turnlog parked --retry-all`; if these "
            "sessions are corrupt indeed, raise TURNLOG_PARK_LIMIT and start again"
        )

    def note(
        self,
        connection: Database,
        sessions: Sequence[SessionKey],
        parked: Mapping[SessionKey, Parked],
    ) -> None:
        """After that batch was written."""
        for key in sessions:
            self._recent[key] = key in parked
            self._recent.move_to_end(key)
        while len(self._recent) > SESSIONS:
            self._recent.popitem(last=False)
        if self._on_trial:
            self._on_trial -= sum(key not in parked for key in sessions)
            if self._on_trial <= 0:
                self._on_trial = 0
                connection.execute(statement("mass_parking_over"))
