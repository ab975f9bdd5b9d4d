"""Lifts the data of older event versions to the current one. Stored bytes are never rewritten.

To change an event type: raise its number in `events.CURRENT_VERSION` and add here a pure function
from the data of the version before to the data of the new one.
"""

from collections.abc import Callable, Mapping
from typing import Any

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]

UPCASTERS: dict[tuple[str, int], Upcaster] = {}
"""(event type, version it reads) -> function that returns the data of the next version."""


def upcast(
    type_: str,
    version: int,
    data: dict[str, Any],
    *,
    upcasters: Mapping[tuple[str, int], Upcaster] = UPCASTERS,
) -> dict[str, Any]:
    """Apply every upcaster from `version` on; data of the current version is returned as it is."""
    while step := upcasters.get((type_, version)):
        data = step(data)
        version += 1
    return data
