"""Lua scripts, one a file under `lua/` of a package, read once."""

from functools import cache
from hashlib import sha1
from importlib import resources
from typing import NamedTuple

_SHARED_BEGINS, _SHARED_ENDS = "-- shared:", "-- end of shared"


class Script(NamedTuple):
    """A script's text and the SHA-1 by which Redis knows it once loaded."""

    source: str
    sha: str


@cache
def load_script(name: str, *, package: str = "turnlog_producers", shared: bool = False) -> Script:
    """The script `lua/<name>.lua` of a package. With `shared` it begins with the functions that the
    append script shares; that one stands whole in its file, for producers in other languages."""
    source = _text(package, name)
    if shared:
        begins = (append := _text("turnlog_producers", "append")).index(_SHARED_BEGINS)
        source = append[begins : append.index(_SHARED_ENDS)] + source
    return Script(source, sha1(source.encode(), usedforsecurity=False).hexdigest())


def _text(package: str, name: str) -> str:
    return (resources.files(package) / "lua" / f"{name}.lua").read_text(encoding="utf-8")
