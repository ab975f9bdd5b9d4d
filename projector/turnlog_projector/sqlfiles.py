"""SQL statements, one a file under `sql/` of a package, read once."""

from functools import cache
from importlib import resources
from typing import LiteralString, cast

SCRATCH = 0
"""Stands for a generation in the temporary tables of a connection."""


@cache
def statement(
    name: str, *, generation: int | None = None, package: str = "turnlog_projector"
) -> LiteralString:
    """The text of `sql/<name>.sql` in `package`. `{g}` in it stands for the schema of the
    generation, a number of ours or `SCRATCH`; everything else that varies is a parameter."""
    text = (resources.files(package) / "sql" / f"{name}.sql").read_text(encoding="utf-8")
    if generation is not None:
        text = text.replace("{g}", "pg_temp" if generation == SCRATCH else f"g{generation:d}")
    return cast(LiteralString, text)


def migrations() -> list[tuple[int, str, LiteralString]]:
    """Number, name and text of every migration, in order."""
    folder = resources.files("turnlog_projector") / "sql" / "migrations"
    found: list[tuple[int, str, LiteralString]] = []
    for file in folder.iterdir():
        if file.name.endswith(".sql"):
            number, _, name = file.name.removesuffix(".sql").partition("_")
            found.append((int(number), name, cast(LiteralString, file.read_text("utf-8"))))
    return sorted(found)
