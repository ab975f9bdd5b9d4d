"""The token of a client: given, or asked of a provider and kept until the API refuses it."""

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable

from turnlog_client.errors import Misconfigured

TokenProvider = Callable[[], str]
AsyncTokenProvider = Callable[[], str | Awaitable[str]]


class Tokens:
    """For threads."""

    def __init__(self, given: str | TokenProvider | None) -> None:
        self._given = _checked(given) if isinstance(given, str) else given
        self._token: str | None = None
        self._lock = threading.Lock()

    def get(self, rejected: str | None) -> str | None:
        """The token; another one than the rejected one, if there is a provider."""
        given = self._given
        if given is None or isinstance(given, str):
            return given
        with self._lock:
            if self._token is None or self._token == rejected:
                self._token = _checked(given())
            return self._token


class AsyncTokens:
    """For tasks."""

    def __init__(self, given: str | AsyncTokenProvider | None) -> None:
        self._given = _checked(given) if isinstance(given, str) else given
        self._token: str | None = None
        self._lock = asyncio.Lock()

    async def get(self, rejected: str | None) -> str | None:
        """The token; another one than the rejected one, if there is a provider."""
        given = self._given
        if given is None or isinstance(given, str):
            return given
        async with self._lock:
            if self._token is None or self._token == rejected:
                made = given()
                self._token = _checked(await made if inspect.isawaitable(made) else made)
            return self._token


def _checked(token: str) -> str:
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise Misconfigured("token: is empty, or holds what no token holds")
    return token
