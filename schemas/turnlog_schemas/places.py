"""Where in what was given a fault lies."""

from typing import Any, cast

from pydantic_core import ErrorDetails

Place = tuple[str | int, ...]


def place_of(fault: ErrorDetails, given: object) -> Place:
    """The keys and indexes that lead from `given`, which was validated, to the value at fault.

    Pydantic names the member of a union, or the kind of a JSON value, as a step of its own: such a
    step leads nowhere in what was given, and is left out.
    """
    steps = fault["loc"]
    if fault["type"] == "missing":
        return (*_way(given, steps[:-1], fault["input"]), steps[-1])
    return _way(given, steps, fault["input"])


def _way(given: object, steps: Place, target: object) -> Place:
    """The longest way along some of the steps that ends at the very object at fault; without one
    (a key that is wrong is no value), the longest of all."""
    reached: dict[int, tuple[object, Place]] = {id(given): (given, ())}
    for step in steps:
        for value, way in list(reached.values()):
            if _leads(value, step):
                next_ = cast(Any, value)[step]
                known = reached.get(id(next_))
                if known is None or len(known[1]) <= len(way):
                    reached[id(next_)] = next_, (*way, step)
    if id(target) in reached:
        return reached[id(target)][1]
    return max((way for _, way in reached.values()), key=len)


def _leads(value: object, step: str | int) -> bool:
    if isinstance(value, dict):
        return step in value
    if not isinstance(value, list | tuple) or not isinstance(step, int):
        return False
    return step < len(cast(list[object], value))
