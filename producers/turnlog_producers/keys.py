"""The names of everything in Redis. All keys of a partition share the hash tag `{tl:<p>}`, so that
one append touches one slot of a cluster."""

from turnlog_schemas.ids import partition_of

META = "turnlog:meta"
"""JSON `{"log_id": …, "partitions": …}`, set once by whoever comes first."""

WAKE = "turnlog:wake"
"""The channel on which the append script names the partition that changed."""


def heads_key(partition: int) -> str:
    """Hash: `<tenant>:<session>` -> head. The list of all sessions of the partition."""
    return f"{{tl:{partition}}}:heads"


def index_key(partition: int) -> str:
    """Stream: what changed in the partition, in order."""
    return f"{{tl:{partition}}}:index"


def claim_key(tenant: str, event_id: str, partitions: int) -> str:
    """String: the session that an event with an id of the API's making is to begin; expires."""
    return f"{{tl:{partition_of(tenant, event_id, partitions)}}}:claim:{tenant}:{event_id}"


class Keys:
    """The keys that an append to one session touches."""

    __slots__ = ("field", "heads", "ids", "index", "live", "partition", "stream")

    def __init__(self, tenant: str, session_id: str, partitions: int) -> None:
        partition = partition_of(tenant, session_id, partitions)
        self.partition = partition
        self.field = f"{tenant}:{session_id}"
        """The session's name in `heads` and in index entries."""
        self.heads = heads_key(partition)
        self.index = index_key(partition)
        self.stream = f"{{tl:{partition}}}:s:{self.field}"
        self.ids = f"{{tl:{partition}}}:ids:{self.field}"
        self.live = f"{{tl:{partition}}}:live:{self.field}"
