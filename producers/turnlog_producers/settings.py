"""What a client was given, checked."""

from dataclasses import dataclass
from typing import Any

from turnlog_producers.errors import Misconfigured
from turnlog_schemas.events import MAX_EVENT_BYTES
from turnlog_schemas.ids import DEFAULT_TENANT, check_id


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings:
    """`ClientOptions` with their defaults."""

    tenant: str = DEFAULT_TENANT
    partitions: int | None = None
    actor: dict[str, Any] | None = None
    max_event_bytes: int = MAX_EVENT_BYTES
    retry_s: float = 5.0

    def __post_init__(self) -> None:
        check_id(self.tenant, "tenant")
        if self.partitions is not None and self.partitions < 1:
            raise Misconfigured(f"partitions is {self.partitions}; allowed are 1 and more")
