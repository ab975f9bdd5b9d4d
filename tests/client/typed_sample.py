"""What type checkers and editors know of the client; test_client_types.py has it checked."""

from typing import Any, assert_type

from turnlog_client import (
    Answer,
    AsyncClient,
    AsyncDownload,
    AsyncPages,
    Client,
    Download,
    Page,
    Pages,
    Session,
    Turn,
    Written,
)


def with_client(client: Client) -> None:
    assert_type(client.session("s", strong=True), Session)
    assert_type(client.session("s")["turn_count"], int)
    assert_type(client.append_turn("s", "user", "x", parent_turn_id=None), Written)
    assert_type(client.append_turns("s", [{"role": "user", "content": "x"}]), list[Written])
    assert_type(client.turns("s", min_seq=3), Pages[Turn])
    assert_type(client.turns("s").page(), Page[Turn])
    assert_type([turn["content"] for turn in client.turns("s")], list[Any])
    assert_type(client.answers.session("s"), Answer[Session])
    assert_type(client.export_session("s", "md"), Download)
    assert_type(client.for_user("u"), Client)


async def with_async_client(client: AsyncClient) -> None:
    assert_type(await client.session("s", strong=True), Session)
    assert_type(await client.append_turn("s", "user", "x", parent_turn_id=None), Written)
    assert_type(client.turns("s", min_seq=3), AsyncPages[Turn])
    assert_type(await client.turns("s").page(), Page[Turn])
    assert_type([turn["content"] async for turn in client.turns("s")], list[Any])
    assert_type(await client.answers.session("s"), Answer[Session])
    assert_type(client.export_session("s", "md"), AsyncDownload)


def mistakes(client: Client, later: AsyncClient) -> None:
    client.session(5)  # pyright: ignore[reportArgumentType]
    client.session("s", stong=True)  # pyright: ignore[reportCallIssue]
    client.append_turn("s", "robot")  # pyright: ignore[reportArgumentType]
    client.append_turn("s", "user", ack="soon")  # pyright: ignore[reportArgumentType]
    client.append_turns("s", [{"content": "x"}])  # pyright: ignore[reportArgumentType]
    print(client.session("s")["titel"])  # pyright: ignore[reportGeneralTypeIssues, reportUnknownArgumentType]
    print(later.session("s")["title"])  # pyright: ignore[reportIndexIssue, reportUnknownArgumentType]
