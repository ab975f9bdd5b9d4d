"""Short texts made from a turn's content: title and preview."""

from typing import Any, cast

MAX_TITLE = 80
MAX_PREVIEW = 160


def storable(value: str) -> str:
    """Text for a database column, which cannot hold U+0000: it is shown as U+FFFD."""
    return value.replace("\0", "\ufffd")


def plain(content: Any) -> str:
    """The text of a content: itself, or the `text` of its parts, a line each."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = (part.get("text") for part in cast(list[dict[str, Any]], content))
        return "\n".join(part for part in parts if isinstance(part, str))
    return ""


def title(content: Any) -> str:
    """The first words, white space folded, cut at the last space within 80 code points."""
    folded = " ".join(plain(content).split())
    if len(folded) <= MAX_TITLE:
        return folded
    cut = folded.rfind(" ", 0, MAX_TITLE + 1)
    return folded[: cut if cut > 0 else MAX_TITLE]


def preview(content: Any) -> str:
    """The first 160 code points of the first 320, white space folded."""
    whole = plain(content)
    head = whole[:MAX_PREVIEW]
    if head.isprintable() and "  " not in head and head == head.strip(" "):
        return head  # nothing to fold in most turns: U+0020 is the only printable white space
    return storable(" ".join(whole[:320].split())[:MAX_PREVIEW])
