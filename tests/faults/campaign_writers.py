"""Writers of a campaign: random operations, resent until they are answered, all of it recorded."""

import random
import threading
import time
from collections.abc import Callable
from hashlib import blake2b

from record import Record

from turnlog_producers import ChatSession, TurnLog
from turnlog_producers.core import Appended, Event
from turnlog_producers.errors import Conflict, LogDamaged, Unavailable
from turnlog_schemas.ids import new_id

_ROLES = ("user", "assistant", "tool", "system")
_GIVES_UP = 0.1
"""The share of calls that nobody resends after a failure."""
_AGAIN = 0.05
"""The share of calls that are sent once more although they were answered."""
_PAUSE_S = 0.02
"""What a writer waits between two calls, on average: a campaign is about faults, not about load."""
_KNOWN_TURNS = 50


class Sessions:
    """What the writers know of the sessions that they share."""

    def __init__(self, count: int) -> None:
        self.names = [f"s-{number}" for number in range(count)]
        self._turns: dict[str, list[str]] = {name: [] for name in self.names}
        self._lock = threading.Lock()

    def appended(self, session_id: str, turn_id: str) -> None:
        with self._lock:
            turns = self._turns[session_id]
            turns.append(turn_id)
            del turns[:-_KNOWN_TURNS]

    def some_turn(self, session_id: str, choice: random.Random) -> str:
        """The id of a turn, or of none that there is."""
        with self._lock:
            turns = self._turns[session_id]
            return choice.choice(turns) if turns and choice.random() < 0.97 else "unknown"


class Writer(threading.Thread):
    """Works until `stop`, then ends with the call in hand answered or given up."""

    def __init__(
        self, number: int, seed: int, redis_url: str, record: Record, sessions: Sessions
    ) -> None:
        super().__init__(name=f"writer {number}")
        self.calls = 0
        self.failure: BaseException | None = None
        self._choice = random.Random(seed * 1000 + number)
        self._redis_url = redis_url
        self._record = record
        self._sessions = sessions
        self._ending = threading.Event()

    def stop(self) -> None:
        self._ending.set()

    def run(self) -> None:
        try:
            with TurnLog.connect(self._redis_url, timeout_s=1.0, retry_s=0.3) as log:
                while not self._ending.wait(self._choice.expovariate(1 / _PAUSE_S)):
                    self._work(log)
        except BaseException as error:
            self.failure = error
            raise

    def _work(self, log: TurnLog) -> None:
        session_id = self._choice.choice(self._sessions.names)
        chat = log.session(session_id, user_id="u", project="p")
        events = [self._event(chat) for _ in range(self._count())]
        for event in events:
            digest = blake2b(event.raw, digest_size=16).digest()
            self._record.send((session_id, event.event_id), digest)
        expected = self._choice.randrange(200) if self._choice.random() < 0.02 else None
        resends = self._choice.random() >= _GIVES_UP
        told = self._send(lambda: chat.append_batch(events, expected_seq=expected), resends)
        if told is None:
            return
        self._note(told)
        if self._choice.random() < _AGAIN:
            again = self._send(lambda: chat.append_batch(events), resends)
            for first, second in zip(told, again or [], strict=False):
                other = second.seq != first.seq or not second.repeat
                if other and not (self._record.moved or self._record.trimmed):
                    raise AssertionError(f"answered {first}, when sent again {second}")

    def _count(self) -> int:
        return 1 if self._choice.random() < 0.9 else self._choice.randrange(2, 30)

    def _event(self, chat: ChatSession) -> Event:
        choice, build = self._choice, chat.build
        turn_id = self._sessions.some_turn(chat.session_id, choice)
        text = f"words of {new_id()}: " + "ship it " * choice.randrange(40)
        kinds: list[tuple[float, Callable[[], Event]]] = [
            (60, lambda: build.append_turn(choice.choice(_ROLES), text)),
            (5, lambda: build.append_turn("user", text, parent_turn_id=turn_id)),
            (6, lambda: build.edit_turn(turn_id, text)),
            (4, lambda: build.retract_turn(turn_id)),
            (0.1, lambda: build.erase_turn(turn_id)),
            (6, lambda: build.annotate_turn(turn_id, "rating", choice.randrange(5), by="u")),
            (4, lambda: build.start_turn("assistant", turn_id=f"live-{choice.randrange(5)}")),
            (4, lambda: build.complete_turn(f"live-{choice.randrange(5)}", text)),
            (2, lambda: build.interrupt_turn(f"live-{choice.randrange(5)}", text)),
            (4, lambda: build.rename(text[:80])),
            (2, lambda: build.update(pinned=choice.random() < 0.5)),
            (1, build.clear),
            (1, build.delete),
            (1, build.restore),
        ]
        event = choice.choices([make for _, make in kinds], [odds for odds, _ in kinds])[0]()
        if event.turn_id is not None and event.type == "turn.appended":
            self._sessions.appended(chat.session_id, event.turn_id)
        return event

    def _send(self, call: Callable[[], list[Appended]], resends: bool) -> list[Appended] | None:
        """The answer; None when there was none, or when the session was not where it should be."""
        while True:
            self.calls += 1
            try:
                return call()
            except Conflict:
                return None
            except (Unavailable, LogDamaged):
                if not resends or self._ending.is_set():
                    return None
                time.sleep(0.05)

    def _note(self, answers: list[Appended]) -> None:
        for appended in answers:
            key = (appended.session_id, appended.event_id)
            self._record.tell(key, appended.seq)
