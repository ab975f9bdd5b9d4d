"""Reading the log in Redis: index entries, streams, heads. Pipelined; events stay raw bytes."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, cast

from redis import Redis

from turnlog_producers.head import Head
from turnlog_producers.keys import Keys, heads_key, index_key
from turnlog_producers.scripts import load_script

RawEntry = list[Any]


class SessionKey(NamedTuple):
    """A session and the partition that it falls into."""

    partition: int
    tenant: str
    session_id: str

    @property
    def field(self) -> str:
        """Its name in `heads` and in index entries."""
        return f"{self.tenant}:{self.session_id}"


class IndexEntry(NamedTuple):
    """What one append (or healing) changed: `events` events of a session, from seq `first` on."""

    n: int
    session: str
    first: int
    events: int
    prev: str
    """event_id before the change; '' at the start of a session."""
    last: str
    """event_id at its end."""
    size: int
    """Bytes of the events."""

    @property
    def end(self) -> int:
        return self.first + self.events - 1

    def key(self, partition: int) -> SessionKey:
        tenant, _, session_id = self.session.partition(":")
        return SessionKey(partition, tenant, session_id)


class StoredEvent(NamedTuple):
    """A stream entry: an event as it is stored, not yet decoded."""

    seq: int
    event_id: str
    """'' for an entry that the append script did not write."""
    recorded_at: int
    """Redis' clock, ms since 1970."""
    raw: bytes


class Held(NamedTuple):
    """How much Redis holds of a session at one moment."""

    head: Head | None
    length: int
    """Entries of the stream. -1: somebody has put another kind of data there."""
    ids: int
    """Event ids that are known of it, as many: the append script keeps both the same. -1: alike."""


class Tail(NamedTuple):
    """The newest part of a session as Redis holds it."""

    events: list[StoredEvent]
    head: Head | None


class LogReader:
    """Reads of one Redis server. Raises redis-py's errors: the worker's loop knows what to do."""

    def __init__(self, client: Redis, partitions: int) -> None:
        self.client = client
        self.partitions = partitions

    def index_from(self, wanted: Sequence[tuple[int, int]], count: int) -> list[list[IndexEntry]]:
        """For each (partition, n): up to `count` index entries from n on, n included."""
        pipe = self.client.pipeline(transaction=False)
        for partition, n in wanted:
            pipe.xrange(index_key(partition), min=f"{max(n, 1)}-0", count=count)
        return [[_index_entry(raw) for raw in reply] for reply in pipe.execute()]

    def index_ends(self, partitions: Sequence[int]) -> list[IndexEntry | None]:
        """The newest index entry of each partition."""
        pipe = self.client.pipeline(transaction=False)
        for partition in partitions:
            pipe.xrevrange(index_key(partition), count=1)
        return [_index_entry(reply[0]) if reply else None for reply in pipe.execute()]

    def tails(self, wanted: Sequence[tuple[SessionKey, int, int]]) -> list[Tail]:
        """For each (session, first, last): its events of that range, and its head. The head is read
        after the events, so that it knows of every pruning that could concern them."""
        pipe = self.client.pipeline(transaction=False)
        fields: dict[int, dict[str, None]] = {}
        for key, first, last in wanted:
            pipe.execute_command("XRANGE", self.keys(key).stream, f"{first}-0", f"{last}-0")
            fields.setdefault(key.partition, {})[key.field] = None
        for partition, names in fields.items():
            pipe.execute_command("HMGET", heads_key(partition), *names)
        replies: list[Any] = pipe.execute(raise_on_error=False)
        heads: dict[tuple[int, str], Head | None] = {}
        for (partition, names), values in zip(fields.items(), replies[len(wanted) :], strict=True):
            for name, value in zip(names, _checked(values), strict=True):
                heads[partition, name] = Head.parse(value) if value else None
        return [
            Tail([_stored(raw) for raw in _checked(events)], heads[key.partition, key.field])
            for (key, _, _), events in zip(wanted, replies[: len(wanted)], strict=True)
        ]

    def next_events(self, key: SessionKey, first: int, *, count: int, size: int) -> Tail:
        """Events of a session from seq `first` on: at most `count`, and after the first only as
        many as hold together at most `size` bytes; and its head, read after them."""
        keys = self.keys(key)
        script = load_script("read", package="turnlog_projector").source
        pipe = self.client.pipeline(transaction=False)
        pipe.eval(script, 1, keys.stream, f"{first}-0", count, size)
        pipe.hget(keys.heads, key.field)
        events, value = (_checked(reply) for reply in pipe.execute(raise_on_error=False))
        return Tail([_stored(raw) for raw in events], Head.parse(value) if value else None)

    def newest(self, key: SessionKey, *, upto: int, count: int) -> list[StoredEvent]:
        """Up to `count` events of the stream with seq <= `upto`, newest first."""
        reply = self.client.xrevrange(self.keys(key).stream, max=f"{upto}-0", count=count)
        return [_stored(raw) for raw in cast(list[RawEntry], reply)]

    def held(self, keys: Iterable[SessionKey]) -> list[Held]:
        """How much Redis holds of some sessions of one partition. In one transaction: between two
        commands there is room for an append."""
        pipe = self.client.pipeline(transaction=True)
        for key in keys:
            names = self.keys(key)
            pipe.hget(names.heads, names.field)
            pipe.xlen(names.stream)
            pipe.hlen(names.ids)
        replies = iter([_checked(reply, -1) for reply in pipe.execute(raise_on_error=False)])
        return [
            Held(Head.parse(value) if value else None, length, ids)
            for value, length, ids in zip(replies, replies, replies, strict=True)
        ]

    def is_sound(self, key: SessionKey, seq: int, event_id: str, recorded_at: int) -> bool:
        """Whether stream, ids and head agree, the stream holds the event at `seq` (or did, before
        it was trimmed), and takes the next one. `seq` 0: nothing of the session is known yet."""
        keys = self.keys(key)
        pipe = self.client.pipeline(transaction=False)
        pipe.hget(keys.heads, key.field)
        pipe.xlen(keys.stream)
        pipe.hlen(keys.ids)
        pipe.xrange(keys.stream, min=f"{seq}-0", max=f"{seq}-0")
        pipe.exists(keys.stream)
        value, length, known, entries, exists = pipe.execute()
        if value is None:
            return seq == 0 and length == 0 and known == 0
        head = Head.parse(value)
        if not length == known == head.seq - head.base or head.seq < seq:
            return False
        if exists and not self._takes_more(keys.stream, head.seq):
            return False
        if head.base >= seq:
            return head.seq > seq or seq == 0 or head.event_id == event_id
        return self._is(entries, event_id, recorded_at)

    def holds(self, key: SessionKey, seq: int, event_id: str, recorded_at: int) -> bool:
        """Whether the stream holds just this event at `seq`."""
        entries = self.client.xrange(self.keys(key).stream, min=f"{seq}-0", max=f"{seq}-0")
        return self._is(cast(list[RawEntry], entries), event_id, recorded_at)

    @staticmethod
    def _is(entries: list[RawEntry], event_id: str, recorded_at: int) -> bool:
        if not entries:
            return False
        stored = _stored(entries[0])
        return (stored.event_id, stored.recorded_at) == (event_id, recorded_at)

    def _takes_more(self, stream: str, seq: int) -> bool:
        """Whether a stream takes an event at the next seq: not if it has had a later entry, even
        when that was deleted."""
        info = self.client.xinfo_stream(stream)
        return int(info["last-generated-id"].partition(b"-")[0]) <= seq

    def head(self, key: SessionKey) -> Head | None:
        """The head of one session."""
        keys = self.keys(key)
        value = cast(bytes | None, self.client.hget(keys.heads, keys.field))
        return Head.parse(value) if value is not None else None

    def have_heads(self, keys: Sequence[SessionKey]) -> list[bool]:
        """Which of the sessions Redis has a head of."""
        pipe = self.client.pipeline(transaction=False)
        for key in keys:
            pipe.hexists(self.keys(key).heads, key.field)
        return [bool(there) for there in pipe.execute()]

    def heads(self, partition: int, cursor: int, count: int) -> tuple[int, dict[SessionKey, Head]]:
        """One step through the heads of a partition: the next cursor (0: done) and some heads."""
        cursor, found = cast(
            tuple[int, dict[bytes, bytes]],
            self.client.hscan(heads_key(partition), cursor=cursor, count=count),
        )
        heads: dict[SessionKey, Head] = {}
        for field, value in found.items():
            tenant, _, session_id = field.decode().partition(":")
            heads[SessionKey(partition, tenant, session_id)] = Head.parse(value)
        return cursor, heads

    def keys(self, key: SessionKey) -> Keys:
        return Keys(key.tenant, key.session_id, self.partitions)


def _index_entry(raw: RawEntry) -> IndexEntry:
    id_, fields = raw
    # The scripts write session, from, count, prev, last and size in this order.
    _, session, _, first, _, events, _, prev, _, last, _, size = fields
    return IndexEntry(
        int(id_[:-2]),
        session.decode(),
        int(first),
        int(events),
        prev.decode(),
        last.decode(),
        int(size),
    )


def _checked(reply: Any, otherwise: Any = ()) -> Any:
    """A reply of a pipeline. Where another kind of data stands under a key of one session, the
    others must go on; all other errors are raised."""
    if not isinstance(reply, Exception):
        return reply
    if "WRONGTYPE" in str(reply):
        return otherwise
    raise reply


def _stored(raw: RawEntry) -> StoredEvent:
    id_, fields = raw
    try:
        # The append script writes e, i and t in this order.
        return StoredEvent(
            int(id_[:-2]), fields[3].decode(), int(fields[5]), cast(bytes, fields[1])
        )
    except (IndexError, ValueError):
        return StoredEvent(int(id_.partition(b"-")[0]), "", 0, b"")
