"""Lists, page by page: a page is fetched when it is needed, and not before."""

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, cast

from turnlog_client.requests import Freshness, Reply, Request, Steps, get, query
from turnlog_client.results import SearchLag

T = TypeVar("T")
S = TypeVar("S")

_FRESHNESS = ("consistency", "min_seq")
"""What a cursor does not say: it goes along with every page."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A page of a list."""

    items: list[T]
    next_cursor: str | None
    """Where the next page begins; None: this is the last one."""
    total_count: int | None
    """Of turns: how many the branch has on all pages."""
    freshness: Freshness
    """Of a list of one session."""
    as_of: int | None
    """With `as_of`: the seq that all pages show."""
    etag: str | None
    """Pass it as `etag=` to be told by `NotModified` that the page has not changed."""
    request_id: str | None
    complete: bool
    """Of a search: False when there were so many hits that only the newest were ranked."""
    search_lag: SearchLag | None
    """Of a search: what it does not show yet."""


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """A list that can be asked for, not yet asked. `params` are query parameters; one that is None
    is left out."""

    path: str
    params: Mapping[str, Any]

    def request(self, cursor: str | None, etag: str | None = None) -> Request:
        """The request for the page at the cursor, which knows the filters."""
        params = query(self.params)
        if cursor is not None:
            params = {name: params[name] for name in ("limit", *_FRESHNESS) if name in params}
            params["cursor"] = cursor
        return get(self.path, params, etag=etag)

    def page(self, cursor: str | None, etag: str | None = None) -> Steps[Page[T]]:
        """Fetch one page."""
        return _page((yield self.request(cursor, etag)))


def _page(reply: Reply) -> Page[Any]:
    body: dict[str, Any] = reply.json()
    items: object = body.get("items")
    following: object = body.get("next_cursor")
    if not isinstance(items, list) or not isinstance(following, str | None):
        raise reply.unexpected()
    return Page(
        items=cast(list[Any], items),
        next_cursor=following,
        total_count=body.get("total_count"),
        freshness=reply.freshness,
        as_of=reply.as_of,
        etag=reply.etag,
        request_id=reply.request_id,
        complete=body.get("complete", True),
        search_lag=body.get("lag"),
    )


class Runner(Protocol):
    """The sync client, as its lists see it."""

    def run(self, steps: Steps[S]) -> S: ...


class AsyncRunner(Protocol):
    """The async client, as its lists see it."""

    async def run(self, steps: Steps[S]) -> S: ...


class Pages(Generic[T]):
    """A list of a `Client`: iterate over it for the items, over `pages()` for the pages. Each
    iteration begins anew."""

    def __init__(self, runner: Runner, listing: Listing[T]) -> None:
        self._runner = runner
        self._listing = listing

    def __iter__(self) -> Iterator[T]:
        for page in self.pages():
            yield from page.items

    def pages(self, cursor: str | None = None) -> Iterator[Page[T]]:
        """The pages from the first one, or from the cursor of an earlier page, on."""
        while True:
            page = self.page(cursor)
            yield page
            cursor = page.next_cursor
            if cursor is None:
                return

    def page(self, cursor: str | None = None, *, etag: str | None = None) -> Page[T]:
        """One page: the first one, or that at `next_cursor` of another. With the `etag` of a page
        that the caller has, raises `NotModified` while it still holds."""
        return self._runner.run(self._listing.page(cursor, etag))


class AsyncPages(Generic[T]):
    """A list of an `AsyncClient`: `async for` over it gives the items, over `pages()` the pages.
    Each iteration begins anew."""

    def __init__(self, runner: AsyncRunner, listing: Listing[T]) -> None:
        self._runner = runner
        self._listing = listing

    async def __aiter__(self) -> AsyncIterator[T]:
        async for page in self.pages():
            for item in page.items:
                yield item

    async def pages(self, cursor: str | None = None) -> AsyncIterator[Page[T]]:
        """The pages from the first one, or from the cursor of an earlier page, on."""
        while True:
            page = await self.page(cursor)
            yield page
            cursor = page.next_cursor
            if cursor is None:
                return

    async def page(self, cursor: str | None = None, *, etag: str | None = None) -> Page[T]:
        """One page: the first one, or that at `next_cursor` of another. With the `etag` of a page
        that the caller has, raises `NotModified` while it still holds."""
        return await self._runner.run(self._listing.page(cursor, etag))
