"""An append to a session of 100,000 turns, against one to a session of 10, by the sync client.

(`read_page.py` compares the newest page of the two.) Each round appends some turns to the long
session and as many to sessions of 10, one by one, in turns.
"""

import time

from harness import Appender, arguments, median, servers, turn_event, verdict

from turnlog_producers import TurnLog
from turnlog_producers.session import ChatSession

_A_CALL = 500


def main() -> None:
    options = arguments(__doc__, turns=100_000, appends=500, rounds=5)
    with servers(options) as urls:
        appender = Appender(urls.redis_url)
        for first in range(0, options.turns, _A_CALL):
            numbers = range(first, min(first + _A_CALL, options.turns))
            appender.append("long", [turn_event(number) for number in numbers])
        short = options.appends * options.rounds
        for session in range(short):
            appender.append(f"short-{session}", [turn_event(number) for number in range(10)])
        print(f"log: a session of {options.turns:,} turns, {short:,} sessions of 10", flush=True)
        with TurnLog.connect(urls.redis_url) as log:
            ratios: list[float] = []
            for number in range(options.rounds):
                ours: list[float] = []
                theirs: list[float] = []
                for session in range(number * options.appends, (number + 1) * options.appends):
                    ours.append(_append(log.session("long")))
                    theirs.append(_append(log.session(f"short-{session}")))
                ratios.append(median(ours) / median(theirs))
                print(
                    f"round {number + 1}: {median(ours) * 1e3:.3f} ms against "
                    f"{median(theirs) * 1e3:.3f} ms",
                    flush=True,
                )
    print("cost of an append to the long one:", verdict(median(ratios), 1.3, at_most=True))


def _append(session: ChatSession) -> float:
    began = time.perf_counter()
    session.append_turn("user", "And in the year before?")
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
