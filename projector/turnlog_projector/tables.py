"""Rows of the fold as tuples of the read models' columns, in the order of the `put_….sql` files,
and back from what the database holds."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from pydantic_core import from_json, to_json

from turnlog_projector.figures import figures
from turnlog_schemas.rows import (
    SESSION_FOLD_ONLY,
    Annotation,
    Branch,
    Revision,
    Session,
    TitleChange,
    Turn,
    session_item,
)

Row = tuple[Any, ...]


def body(value: Mapping[str, Any]) -> str:
    """The JSON that the API will answer."""
    return to_json(value).decode()


def session_row(session: Session) -> Row:
    return (
        session["tenant"],
        session["session_id"],
        session["user_id"],
        session["project"],
        session["title"],
        session["visibility"],
        session["archived"],
        session["pinned"],
        session["deleted"],
        session["created_at"],
        session["updated_at"],
        session["turn_count"],
        session["seq"],
        body(session_item(session)),
        session["event_id"],
        session["started"],
        session["erased"],
        session["floor"],
        session["last_turn_id"],
        session["last_turn_seq"],
        session["title_turn_id"],
        session["tip_turn_id"],
        session["branches"],
        session["ignored"],
    )


def session_from(tenant: str, item: str, fold_only: Iterable[Any]) -> Session:
    """The session from its body and the columns `SESSION_FOLD_ONLY`, in that order."""
    session: dict[str, Any] = from_json(item)
    session["tenant"] = tenant
    session.update(zip(SESSION_FOLD_ONLY, fold_only, strict=True))
    return cast(Session, session)


def turn_row(tenant: str, session_id: str, turn: Turn) -> Row:
    return (
        tenant,
        session_id,
        turn["turn_id"],
        turn["seq"],
        turn["branch_id"],
        turn["role"],
        turn["status"],
        turn["at"],
        body(cast(Mapping[str, Any], turn)),
        *figures(turn),
    )


def branch_row(tenant: str, session_id: str, branch: Branch) -> Row:
    item = body(cast(Mapping[str, Any], branch))
    return (tenant, session_id, branch["branch_id"], branch["first_seq"], item)


def title_row(tenant: str, session_id: str, title: TitleChange) -> Row:
    item = body(cast(Mapping[str, Any], title))
    return (tenant, session_id, title["seq"], title["turn_id"], item)


def revision_row(tenant: str, session_id: str, revision: Revision) -> Row:
    item = body(cast(Mapping[str, Any], revision))
    return (tenant, session_id, revision["turn_id"], revision["seq"], item)


def annotation_row(tenant: str, session_id: str, annotation: Annotation) -> Row:
    item = body(cast(Mapping[str, Any], annotation))
    return (tenant, session_id, annotation["turn_id"], annotation["seq"], annotation["kind"], item)


def turn_from(item: str) -> Turn:
    return from_json(item)


def branch_from(item: str) -> Branch:
    branch = from_json(item)
    branch["path"] = [tuple(step) for step in branch["path"]]
    return branch


def columns(rows: Sequence[Row], count: int) -> list[list[Any]]:
    """Rows turned into one list a column, as the statements take them."""
    if not rows:
        return [[] for _ in range(count)]
    return [list(column) for column in zip(*rows, strict=True)]


ROW_OF: dict[str, Callable[..., Row]] = {
    "turns": turn_row,
    "branches": branch_row,
    "titles": title_row,
    "turn_revisions": revision_row,
    "annotations": annotation_row,
}
"""Read models whose rows are (tenant, session_id, row of the fold)."""
