"""`Client`: the API for threads."""

import time
from collections.abc import Callable
from typing import Self, TypeVar, Unpack

import httpx

from turnlog_client.calls import Sync, SyncAnswering
from turnlog_client.exchange import Attempt, Failure, Pause, TokenWanted, exchange, failed
from turnlog_client.methods import Calls, ClientMethods
from turnlog_client.requests import Reply, Request, Steps
from turnlog_client.results import Answer, LastReply
from turnlog_client.sending import LIMITS, is_download, prepare, reply_of
from turnlog_client.settings import ClientOptions, ClientSettings
from turnlog_client.tokens import TokenProvider, Tokens

T = TypeVar("T")


class Client(ClientMethods, Sync):
    """Reads and writes the history over HTTP. Threads may share it; connections are kept and shared
    among them. Nothing is connected before the first call.

    A call that finds no answer, or one that says to come again, is repeated until `budget_s` are
    over; a write always with the same Idempotency-Key, so that it is never done twice.
    """

    def __init__(
        self,
        base_url: str,
        *,
        token: str | TokenProvider | None = None,
        http: httpx.Client | None = None,
        transport: httpx.BaseTransport | None = None,
        **options: Unpack[ClientOptions],
    ) -> None:
        """Use the API at this address, with a token or what gives one: it is asked once, and again
        when the API refuses the token. `http` is a client that you made and will close; `transport`
        carries the requests of one that is made here. Raises `Misconfigured`."""
        self.settings = ClientSettings(base_url=base_url, **options)
        self._tokens = Tokens(token)
        self._owns_http = http is None
        self._http = http or httpx.Client(transport=transport, limits=LIMITS)

    @property
    def answers(self) -> "Answers":
        """The same calls, giving an `Answer`: the result, and how new it is."""
        return Answers(self)

    def close(self) -> None:
        """Close the connections, if they are this object's own."""
        if self._owns_http:
            self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, steps: Steps[T], told: Callable[[Reply], None] | None = None) -> T:
        """Do what a method of the client describes; tell of each reply."""
        try:
            request = next(steps)
            while True:
                reply = self._exchange(request)
                if told is not None:
                    told(reply)
                request = steps.send(reply)
        except StopIteration as done:
            return done.value

    def _exchange(self, request: Request) -> Reply:
        steps = exchange(request, self.settings, time.monotonic)
        outcome: Reply | Failure | str | None = None
        try:
            while True:
                match steps.send(outcome):
                    case Attempt() as attempt:
                        outcome = self._attempt(attempt)
                    case Pause(seconds):
                        outcome = time.sleep(seconds)
                    case TokenWanted(rejected):
                        outcome = self._tokens.get(rejected)
        except StopIteration as done:
            return done.value

    def _attempt(self, attempt: Attempt) -> Reply | Failure:
        request = attempt.request
        try:
            response = self._http.send(
                prepare(self._http, attempt, self.settings),
                stream=request.download,
                follow_redirects=False,
            )
            if not is_download(request, response):
                response.read()
        except httpx.RequestError as error:
            return failed(error)
        return reply_of(request, response)


class Answers(Calls, SyncAnswering):
    """The calls of a `Client`, each giving an `Answer`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def run(self, steps: Steps[T]) -> Answer[T]:
        """Do what a method of the client describes."""
        last = LastReply()
        value = self._client.run(steps, last.keep)
        return last.answer(value)
