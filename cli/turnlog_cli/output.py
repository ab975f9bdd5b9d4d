"""What commands print: data on stdout, everything else on stderr."""

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.text import Text

# What a terminal would obey instead of show: C0, DEL and C1 controls, and marks that change the
# direction of text or end a line unseen.
_MARKS = (0x061C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A), 0xFEFF)
_VISIBLE = {
    **{code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\n\t"},
    0x7F: "\u2421",
    **{code: f"\\x{code:02x}" for code in range(0x80, 0xA0)},
    **{code: f"\\u{code:04x}" for code in _MARKS},
}

_PIPE_WIDTH = 1000


def visible(text: str) -> str:
    """Text of turns for a terminal: control characters are shown, none reaches it."""
    return text.translate(_VISIBLE)


def one_line(text: str) -> str:
    """The same, on one line."""
    return " ".join(visible(text).split())


def console() -> Console:
    """Stdout; nothing in a text is taken as markup. A pipe gets every line whole."""
    width = None if sys.stdout.isatty() else _PIPE_WIDTH
    return Console(markup=False, emoji=False, highlight=False, soft_wrap=True, width=width)


def styled(text: str, style: str = "") -> Text:
    """Text with a style, which rich leaves alone otherwise."""
    return Text(visible(text), style=style)


def print_json(value: object) -> None:
    """One JSON document on stdout, in ASCII: safe in every terminal and every locale."""
    print(json.dumps(value, indent=2))


def print_json_line(value: Mapping[str, Any]) -> None:
    """One JSON object on a line of its own, sent at once."""
    print(json.dumps(value, separators=(",", ":")), flush=True)


def say(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


def size(count: int | None) -> str:
    """Bytes for people."""
    if count is None:
        return "?"
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def ago(at: str) -> str:
    """How long ago a time (RFC 3339) was, for people."""
    seconds = (datetime.now(UTC) - datetime.fromisoformat(at)).total_seconds()
    if seconds < 5:
        return "now"
    for length, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit} ago"
    return "now"
