"""Bytes in Redis: an event in a running session, and a whole idle session."""

import redis
from harness import Appender, arguments, servers

from turnlog_cli.instance import ServerUrls


def main() -> None:
    options = arguments(__doc__, sessions=20_000)
    with servers(options) as urls:
        appender = Appender(urls.redis_url)
        for turns in (1, 10):
            _fill(urls, appender, options.sessions, turns)


def _fill(urls: ServerUrls, appender: Appender, sessions: int, turns: int) -> None:
    """Print what `sessions` sessions of `turns` turns of 450 bytes take."""
    before = _used(urls)
    done = appender.fill(
        sessions * turns, at_once=256, prefix=f"of-{turns}", turns=(turns, turns), said=False
    )
    used = _used(urls) - before
    print(
        f"{done.sessions:,} sessions of {turns} turns of {done.bytes / done.events:.0f} bytes: "
        f"{used / done.events:.0f} bytes an event, {used / done.sessions:.0f} a session",
        flush=True,
    )


def _used(urls: ServerUrls) -> int:
    with redis.Redis.from_url(urls.redis_url) as client:
        return client.info("memory")["used_memory"]


if __name__ == "__main__":
    main()
