"""Lengths of time as people write them on a command line."""

import re
from datetime import timedelta

import typer

_UNITS = {"d": "days", "h": "hours", "min": "minutes", "m": "minutes", "s": "seconds"}
_FORM = re.compile(r"(\d+(?:\.\d+)?)(d|h|min|m|s)?")


def duration(text: str) -> timedelta:
    """`7d`, `12h`, `30m`, `45s`, `0`: for an option that takes a length of time."""
    found = _FORM.fullmatch(text.strip())
    if found is None or (found[2] is None and float(found[1])):
        raise typer.BadParameter(f"{text!r} is no length of time, such as 7d, 12h, 30m or 0")
    try:
        return timedelta(**{_UNITS[found[2] or "s"]: float(found[1])})
    except OverflowError:
        raise typer.BadParameter(f"{text!r} is too long") from None
