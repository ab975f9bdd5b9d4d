"""What is done after each outcome of an attempt: the steps alone, and a clock of the test's own."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from turnlog_client import ApiError, InvalidRequest, NotFound, Unauthenticated, Unavailable
from turnlog_client.exchange import Attempt, Failure, Pause, Step, TokenWanted, exchange
from turnlog_client.requests import Reply, Request, write
from turnlog_client.settings import ClientSettings

WRITE = write("POST", "/v1/x", {}, key="k")
LOST = Failure("ReadTimeout", passing=True)


class Play:
    """Plays the network: gives each attempt the next outcome, takes time for it and for pauses."""

    def __init__(self, *outcomes: Reply | Failure, takes_s: float = 0.0, **settings: Any) -> None:
        self.now = 1000.0
        self.outcomes = list(outcomes)
        self.takes_s = takes_s
        self.tokens = ["first", "second"]
        self.attempts: list[Attempt] = []
        self.pauses: list[float] = []
        self.settings = ClientSettings(base_url="http://api.test", **settings)

    def run(self, request: Request = WRITE) -> Reply:
        steps = exchange(request, self.settings, lambda: self.now)
        given: Any = None
        try:
            while True:
                given = self.do(steps.send(given))
        except StopIteration as done:
            return done.value

    def do(self, step: Step) -> Any:
        match step:
            case TokenWanted(rejected):
                while len(self.tokens) > 1 and self.tokens[0] == rejected:
                    self.tokens.pop(0)
                return self.tokens[0] if self.tokens else None
            case Pause(seconds):
                self.pauses.append(seconds)
                self.now += seconds
                return None
            case Attempt():
                self.attempts.append(step)
                self.now += self.takes_s
                return self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]


def reply(status: int, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(WRITE, status, named, b"{}")


@pytest.mark.parametrize("status", [408, 425, 429, 502, 503, 504])
def test_what_may_pass_is_sent_again_with_the_same_key(status: int) -> None:
    play = Play(LOST, reply(status), reply(201))
    assert play.run().status == 201
    assert [attempt.request.headers["Idempotency-Key"] for attempt in play.attempts] == ["k"] * 3


@pytest.mark.parametrize("status", [400, 404, 409, 412, 413, 422, 500, 501, 301])
def test_what_will_not_pass_is_told_at_once(status: int) -> None:
    play = Play(reply(status))
    with pytest.raises(ApiError) as raised:
        play.run()
    assert raised.value.status == status
    assert len(play.attempts) == 1


def test_what_cannot_be_sent_is_not_sent_again() -> None:
    play = Play(Failure("LocalProtocolError", passing=False))
    with pytest.raises(InvalidRequest):
        play.run()
    assert len(play.attempts) == 1


def test_pauses_grow_and_differ() -> None:
    play = Play(*[LOST] * 8, reply(200))
    play.run()
    for number, pause in enumerate(play.pauses):
        longest = min(0.1 * 2**number, 5.0)
        assert longest / 2 <= pause <= longest
    assert len(set(play.pauses)) == len(play.pauses)


@pytest.mark.parametrize("way", ["seconds", "a time"])
def test_retry_after_is_honoured(way: str) -> None:
    text = "7" if way == "seconds" else format_datetime(datetime.now(UTC) + timedelta(seconds=9))
    play = Play(reply(503, retry_after=text), reply(200))
    play.run()
    assert play.pauses[0] > 7


@pytest.mark.parametrize("odd", ["", "soon", "-1", "Wed, 99 Foo", "1.5", "\u0661"])
def test_a_retry_after_that_cannot_be_read_is_none(odd: str) -> None:
    play = Play(reply(503, retry_after=odd), reply(200))
    play.run()
    assert play.pauses[0] <= 0.1


def test_a_call_ends_within_its_budget() -> None:
    play = Play(LOST, takes_s=4.0, budget_s=10.0, timeout_s=6.0)
    with pytest.raises(Unavailable) as raised:
        play.run()
    assert play.now <= 1010.0 + 4.0
    assert raised.value.idempotency_key == "k"
    limits = [attempt.timeout_s for attempt in play.attempts]
    assert limits[0] == 6.0
    assert limits[-1] < 2.0


def test_nobody_waits_for_longer_than_the_budget() -> None:
    play = Play(reply(503, retry_after="60"), budget_s=10.0)
    with pytest.raises(Unavailable) as raised:
        play.run()
    assert play.pauses == []
    assert raised.value.retry_after_s == 60


def test_without_a_budget_there_is_one_attempt() -> None:
    play = Play(LOST, budget_s=0.0, timeout_s=6.0)
    with pytest.raises(Unavailable):
        play.run()
    assert [attempt.timeout_s for attempt in play.attempts] == [6.0]


def test_a_refused_token_is_replaced_once() -> None:
    play = Play(reply(401), reply(200))
    play.run()
    assert [attempt.token for attempt in play.attempts] == ["first", "second"]
    assert play.pauses == []
    play = Play(reply(401))
    with pytest.raises(Unauthenticated):
        play.run()
    assert len(play.attempts) == 2


def test_a_token_that_cannot_be_replaced_is_told_at_once() -> None:
    for tokens in (["only"], []):
        play = Play(reply(401))
        play.tokens = list(tokens)
        with pytest.raises(Unauthenticated):
            play.run()
        assert len(play.attempts) == 1


def test_a_status_that_a_call_accepts_is_its_answer() -> None:
    request = Request("GET", "/readyz", accepts=frozenset({503}))
    play = Play(reply(503, content_type="application/json"))
    assert play.run(request).status == 503
    # What a proxy says for a server that is not there.
    play = Play(reply(503, content_type="text/html"), budget_s=0.0)
    with pytest.raises(Unavailable):
        play.run(request)


def test_the_last_word_counts() -> None:
    play = Play(LOST, reply(503), reply(404))
    with pytest.raises(NotFound):
        play.run()
