"""What the tests of both clients share: one way to make them, to call them, to go through lists."""

import inspect
from typing import Any, Literal

import httpx
from served import Stage

from turnlog_client import AsyncClient, Client

Kind = Literal["sync", "async"]


class Bench:
    """A client, and the log behind its API."""

    def __init__(self, client: Client | AsyncClient, stage: Stage) -> None:
        self.client: Any = client
        self.stage = stage

    async def say(self, session_id: str, *texts: str) -> list[dict[str, Any]]:
        """User turns, projected."""
        written = [
            await settled(self.client.append_turn(session_id, "user", text)) for text in texts
        ]
        self.stage.project()
        return written

    async def close(self) -> None:
        await settled(self.client.close())


def made(kind: Kind, url: str, **options: Any) -> Client | AsyncClient:
    """A client of one kind."""
    return Client(url, **options) if kind == "sync" else AsyncClient(url, **options)


def answering(kind: Kind, answer: Any, **options: Any) -> Any:
    """A client whose requests a function answers."""
    return made(kind, "http://api.test", transport=httpx.MockTransport(answer), **options)


async def settled(result: Any) -> Any:
    """The result of a call, whichever client made it."""
    return await result if inspect.isawaitable(result) else result


async def listed(pages: Any) -> list[Any]:
    """The items of a list, or its pages, whichever client made it."""
    if hasattr(pages, "__aiter__"):
        return [item async for item in pages]
    return list(pages)
