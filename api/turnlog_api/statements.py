"""The SQL of the API: files under sql/, filled in and read once.

`{g}` stands for the schema of a generation, `{name}` for the text of sql/<name>.sql, and a line
that ends in `--? part` stands only in a statement made with that part. Everything that comes from
a request is a parameter.
"""

import re
from functools import cache
from typing import LiteralString, cast

from turnlog_projector.sqlfiles import statement

_INCLUDE = re.compile(r"\{(\w+)\}")
_PART = re.compile(r"^(.*?)--\? (\w+)$")


@cache
def sql(name: str, generation: int, parts: frozenset[str] = frozenset()) -> LiteralString:
    """The text of a statement for one generation."""
    return cast(LiteralString, _fill(name, generation, parts))


def _fill(name: str, generation: int, parts: frozenset[str]) -> str:
    lines: list[str] = []
    for line in statement(name, generation=generation, package="turnlog_api").splitlines():
        optional = _PART.match(line)
        if optional:
            line = optional[1] if optional[2] in parts else ""
        if line.strip() and not line.lstrip().startswith("--"):
            lines.append(line.strip())

    def include(found: re.Match[str]) -> str:
        return _fill(found[1], generation, parts)

    return _INCLUDE.sub(include, "\n".join(lines))
