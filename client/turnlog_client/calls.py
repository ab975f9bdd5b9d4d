"""How a method that is written once becomes one of each client.

`@call` stands over a method that returns `Steps`: of a `Client` it gives the result, of an
`AsyncClient` a coroutine of it, of `client.answers` an `Answer` around it. `@pages` stands over one
that returns a `Listing`, `@download` over one that returns a `Source`. Arguments, results and
docstrings are the method's own, for type checkers and editors, too.
"""

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from turnlog_client.downloads import AsyncDownload, Download, Source
from turnlog_client.pages import AsyncPages, Listing, Pages
from turnlog_client.requests import Steps
from turnlog_client.results import Answer

P = ParamSpec("P")
T = TypeVar("T")


class Sync:
    """Runs steps in the calling thread."""

    def run(self, steps: Steps[T]) -> T:
        """Do what a method of the client describes."""
        raise NotImplementedError


class Async:
    """Runs steps in the event loop."""

    async def run(self, steps: Steps[T]) -> T:
        """Do what a method of the client describes."""
        raise NotImplementedError


class SyncAnswering:
    """Runs steps in the calling thread, and tells what the last answer said."""

    def run(self, steps: Steps[T]) -> Answer[T]:
        """Do what a method of the client describes."""
        raise NotImplementedError


class AsyncAnswering:
    """Runs steps in the event loop, and tells what the last answer said."""

    async def run(self, steps: Steps[T]) -> Answer[T]:
        """Do what a method of the client describes."""
        raise NotImplementedError


class call(Generic[P, T]):  # noqa: N801 - a decorator
    """A method that makes requests."""

    def __init__(self, method: Callable[Concatenate[Any, P], Steps[T]]) -> None:
        self._method = method

    @overload
    def __get__(self, client: None, owner: type) -> Callable[Concatenate[Any, P], Steps[T]]: ...
    @overload
    def __get__(self, client: Sync, owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, client: Async, owner: type) -> Callable[P, Coroutine[Any, Any, T]]: ...
    @overload
    def __get__(self, client: SyncAnswering, owner: type) -> Callable[P, Answer[T]]: ...
    @overload
    def __get__(
        self, client: AsyncAnswering, owner: type
    ) -> Callable[P, Coroutine[Any, Any, Answer[T]]]: ...
    def __get__(self, client: Any, owner: type) -> Any:
        if client is None:
            return self._method

        @wraps(self._method)
        def bound(*args: P.args, **kwargs: P.kwargs) -> Any:
            return client.run(self._method(client, *args, **kwargs))

        return bound


class pages(Generic[P, T]):  # noqa: N801 - a decorator
    """A method that gives a list."""

    def __init__(self, method: Callable[Concatenate[Any, P], Listing[T]]) -> None:
        self._method = method

    @overload
    def __get__(self, client: None, owner: type) -> Callable[Concatenate[Any, P], Listing[T]]: ...
    @overload
    def __get__(self, client: Sync, owner: type) -> Callable[P, Pages[T]]: ...
    @overload
    def __get__(self, client: Async, owner: type) -> Callable[P, AsyncPages[T]]: ...
    def __get__(self, client: Any, owner: type) -> Any:
        if client is None:
            return self._method

        @wraps(self._method)
        def bound(*args: P.args, **kwargs: P.kwargs) -> Any:
            listing = self._method(client, *args, **kwargs)
            return (
                Pages(client, listing) if isinstance(client, Sync) else AsyncPages(client, listing)
            )

        return bound


class download(Generic[P]):  # noqa: N801 - a decorator
    """A method that gives a file."""

    def __init__(self, method: Callable[Concatenate[Any, P], Source]) -> None:
        self._method = method

    @overload
    def __get__(self, client: None, owner: type) -> Callable[Concatenate[Any, P], Source]: ...
    @overload
    def __get__(self, client: Sync, owner: type) -> Callable[P, Download]: ...
    @overload
    def __get__(self, client: Async, owner: type) -> Callable[P, AsyncDownload]: ...
    def __get__(self, client: Any, owner: type) -> Any:
        if client is None:
            return self._method

        @wraps(self._method)
        def bound(*args: P.args, **kwargs: P.kwargs) -> Any:
            source = self._method(client, *args, **kwargs)
            return (
                Download(client, source)
                if isinstance(client, Sync)
                else AsyncDownload(client, source)
            )

        return bound
