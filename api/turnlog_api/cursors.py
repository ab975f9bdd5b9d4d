"""Opaque cursors: base64url of a small JSON object.

A cursor holds the place to go on from and the filters of the list it belongs to, so that it stands
alone. It grants nothing: what the caller may see is decided anew each time.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import to_json

from turnlog_api.problems import Problem

C = TypeVar("C", bound="Cursor")
MAX_CURSOR = 8192


class Cursor(BaseModel):
    """What every kind of cursor shares; the fields are those of its list."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    def text(self) -> str:
        """The cursor as it is handed out."""
        raw = to_json(self.model_dump(exclude_defaults=True))
        return urlsafe_b64encode(raw).rstrip(b"=").decode()


def read(kind: type[C], text: str) -> C:
    """The cursor behind the text; a 400 `Problem` for anything that this list did not hand out."""
    try:
        if len(text) > MAX_CURSOR:
            raise ValueError("too long")
        raw = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        return kind.model_validate_json(raw)
    except (ValueError, ValidationError):
        raise unusable() from None


def check_same(given: dict[str, Any], cursor: dict[str, Any]) -> None:
    """Refuse filters beside a cursor that differ from those it belongs to."""
    for name, value in given.items():
        if cursor.get(name) != value:
            raise Problem(
                "bad-cursor",
                f"{name}: differs from the list that the cursor belongs to; leave it out, or begin "
                "again without the cursor",
            )


def unusable() -> Problem:
    return Problem(
        "bad-cursor", "cursor: not one that this list handed out; begin again without it"
    )
