"""Lifts the data of older event versions to the current one. Stored bytes are never rewritten.

To change an event type: raise its number in `events.CURRENT_VERSION` and add here a pure function
from the data of the version before to the data of the new one. docs/replay.md has an example.
"""

from collections.abc import Callable, Mapping
from typing import Any

from turnlog_schemas.errors import InvalidEvent

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
    """Apply every upcaster from `version` on; data of the current version is returned as it is.

    Nothing has looked at the data before. Raises `InvalidEvent` for what an upcaster cannot lift.
    """
    while step := upcasters.get((type_, version)):
        try:
            data = step(data)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise InvalidEvent(
                f"version {version} of {type_} cannot be lifted to {version + 1}: "
                f"{type(error).__name__}"
            ) from None
        version += 1
    return data
