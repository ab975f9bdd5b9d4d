"""Reading exported tables back, strictly."""

import csv
import io

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%", "＝", "＋", "－", "＠")  # noqa: RUF001


def read_csv(text: str, delimiter: str = ",") -> list[dict[str, str]]:
    """The rows of a table, by column. No cell may begin a formula; the apostrophe that keeps one
    from it is taken off."""
    assert text.startswith("\ufeff"), "Excel needs the byte order mark"
    reader = csv.reader(io.StringIO(text[1:], newline=""), delimiter=delimiter, strict=True)
    header, *rows = reader
    assert len(set(header)) == len(header)
    found: list[dict[str, str]] = []
    for row in rows:
        assert len(row) == len(header)
        for cell in row:
            assert not cell.lstrip(" ").startswith(_FORMULA), cell[:80]
        found.append(dict(zip(header, (cell.removeprefix("'") for cell in row), strict=True)))
    return found
