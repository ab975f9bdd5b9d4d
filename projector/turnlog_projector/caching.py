"""What a worker remembers of sessions between batches: how far each is archived, and its row."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from pydantic_core import to_json

from turnlog_projector.batch import Archived
from turnlog_projector.log import SessionKey
from turnlog_schemas.rows import Session

if TYPE_CHECKING:
    from turnlog_projector.readmodels import ReadModels

MAX_CACHED_SESSIONS = 20_000
MAX_CACHED_BYTES = 32 * 1024 * 1024
_SMALL_ROW_BYTES = 4096
"""Rows up to this size are loaded for a batch in any number."""
_ROW_BYTES = 1024
"""What a row takes beside its metadata, about: only they have no limit."""


class Known(NamedTuple):
    """A session as it is archived and folded."""

    archived: Archived
    session: Session | None
    left_out: bool = False
    """It has a row that was not loaded, for it is large: fold this session by itself."""


UNKNOWN = Known(Archived(0, "", 0, None), None)
"""A session of which nothing is archived."""


class SessionCache:
    """The sessions used last, as many as two limits allow: their number and about how many bytes
    their rows take. Nothing is dropped before `trim`, so that a batch finds what it has loaded."""

    def __init__(self) -> None:
        self._known: OrderedDict[SessionKey, tuple[Known, int]] = OrderedDict()
        self._bytes = 0

    def __getitem__(self, key: SessionKey) -> Known:
        return self._known[key][0]

    def get(self, key: SessionKey) -> Known | None:
        """What is known of a session, without noting that it was used."""
        found = self._known.get(key)
        return found[0] if found is not None else None

    def load(self, models: "ReadModels", keys: Sequence[SessionKey], *, size: int) -> None:
        """Make sure that these sessions are at hand; of several, rows are left out that have more
        than their share of `size` bytes and are not small."""
        missing: list[SessionKey] = []
        for key in keys:
            known = self.get(key)
            if known is None or (known.left_out and len(keys) == 1):
                missing.append(key)
        if missing:
            largest = max(size // len(missing), _SMALL_ROW_BYTES) if len(keys) > 1 else None
            found = models.known(missing, largest=largest)
            for key in missing:
                self.put(key, found.get(key, UNKNOWN))
        for key in keys:
            self._known.move_to_end(key)

    def put(self, key: SessionKey, known: Known) -> None:
        """Note what is known of a session now."""
        self.drop(key)
        size = _size(known.session)
        self._known[key] = known, size
        self._bytes += size

    def drop(self, key: SessionKey) -> None:
        """Forget a session."""
        found = self._known.pop(key, None)
        if found is not None:
            self._bytes -= found[1]

    def clear(self) -> None:
        """Forget everything."""
        self._known.clear()
        self._bytes = 0

    def trim(self) -> None:
        """Forget what was not used for longest, until the limits hold."""
        while len(self._known) > MAX_CACHED_SESSIONS or self._bytes > MAX_CACHED_BYTES:
            _, (_, size) = self._known.popitem(last=False)
            self._bytes -= size


def _size(session: Session | None) -> int:
    if session is None:
        return _ROW_BYTES
    metadata = session["metadata"]
    return _ROW_BYTES + (len(to_json(metadata)) if metadata else 0)
