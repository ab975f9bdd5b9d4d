"""Lua scripts, one a file under `lua/` of a package, read once."""

from functools import cache
from hashlib import sha1
from importlib import resources
from typing import NamedTuple


class Script(NamedTuple):
    """A script's text and the SHA-1 by which Redis knows it once loaded."""

    source: str
    sha: str


@cache
def load_script(name: str, *, package: str = "turnlog_producers") -> Script:
    """The script `lua/<name>.lua` of a package."""
    source = (resources.files(package) / "lua" / f"{name}.lua").read_text(encoding="utf-8")
    return Script(source, sha1(source.encode(), usedforsecurity=False).hexdigest())
