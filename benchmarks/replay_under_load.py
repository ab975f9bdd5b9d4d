"""Reads and appends at full load, before, during and after a replay: p50, p99 and the slowest, and
whether any answer was wrong.

Readers ask for pages of turns and for sessions over HTTP, one request after the other without a
pause; writers append by the producer client, and now and then wait until a turn is projected. Every
answer is checked: the turns of a page are those that its count tells, each of them once, and no
session ever goes back. So an answer that was mixed from two generations, or lacks what was there
before, counts as wrong.
"""

import http.client
import json
import multiprocessing
import random
import signal
import socket
import time
from array import array
from collections.abc import Callable, Generator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from typing import Any, NamedTuple

import uvicorn
from harness import Appender, arguments, await_projected, projectors, servers, verdict

from turnlog_api.main import create_app
from turnlog_api.settings import ApiSettings
from turnlog_cli.instance import ServerUrls
from turnlog_producers import TurnLog
from turnlog_projector.replay import ReplayReport, replay

_SLOWEST_S = 1.0
_TIMES = 5.0


class Samples(NamedTuple):
    """What one process of the load has measured: begin and duration of each request, in seconds of
    the machine's monotonic clock."""

    kind: str
    begun: "array[float]"
    taken: "array[float]"
    wrong: list[str]


def main() -> None:
    options = arguments(__doc__, events=200_000, workers=1, readers=2, writers=1, seconds=20)
    with servers(options) as urls:
        with projectors(urls, options.workers) as workers:
            Appender(urls.redis_url).fill(options.events)
            await_projected(urls, options.events, workers)
            port = _free_port()
            with _process(_serve, urls, port):
                _await_server(port)
                hot = max(options.events // 100, 1)
                with _Load(urls, port, hot, options.readers, options.writers) as load:
                    time.sleep(options.seconds)
                    began = time.monotonic()
                    report = _replayed(urls)
                    ended = time.monotonic()
                    time.sleep(options.seconds)
            print(
                f"replay of {report.events:,} events under load: {report.seconds:.1f} s, proven in "
                f"{report.verify_seconds:.1f} s",
                flush=True,
            )
        _tell(load.samples, began, ended)


def _tell(samples: list[Samples], began: float, ended: float) -> None:
    wrong = [text for each in samples for text in each.wrong]
    for kind in ("read", "append", "projected"):
        before, during, after = ([], [], [])
        for each in samples:
            if each.kind == kind:
                for begun, taken in zip(each.begun, each.taken, strict=True):
                    if begun + taken < began:
                        before.append(taken)
                    elif begun < ended:
                        during.append(taken)
                    else:
                        after.append(taken)
        if not before or not during:
            continue
        for when, taken in (("before", before), ("during", during), ("after", after)):
            print(f"{kind} {when}: {_summary(taken)}")
        ratio = _share(during, 0.99) / _share(before, 0.99)
        print(f"{kind}: p99 during against before:", verdict(ratio, _TIMES, at_most=True))
        print(f"{kind}: the slowest during, s:", verdict(max(during), _SLOWEST_S, at_most=True))
    print(f"wrong answers: {len(wrong)}" + "".join(f"\n  {text}" for text in wrong[:5]))
    if wrong:
        raise SystemExit(1)


def _summary(taken: list[float]) -> str:
    return (
        f"{len(taken):,} requests, p50 {_share(taken, 0.5) * 1000:.1f} ms, "
        f"p99 {_share(taken, 0.99) * 1000:.1f} ms, slowest {max(taken, default=0) * 1000:.0f} ms"
    )


def _share(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0.0


# The load --------------------------------------------------------------------------------------


class _Given(NamedTuple):
    """What a process of the load is told."""

    urls: ServerUrls
    port: int
    hot: int
    """The sessions that are read and written."""
    number: int

    def session(self, chooser: random.Random) -> str:
        return f"s-{chooser.randrange(self.hot)}"


class _Load:
    """Readers and writers, each a process."""

    def __init__(self, urls: ServerUrls, port: int, hot: int, readers: int, writers: int) -> None:
        self.samples: list[Samples] = []
        context = multiprocessing.get_context("spawn")
        self._stop = context.Event()
        self._running: list[tuple[BaseProcess, Connection]] = []
        targets = [(_read, number) for number in range(readers)]
        targets += [(_write, number) for number in range(writers)]
        for target, number in targets:
            ours, theirs = context.Pipe(duplex=False)
            given = _Given(urls, port, hot, number)
            process = context.Process(target=target, args=(given, self._stop, theirs))
            process.start()
            theirs.close()
            self._running.append((process, ours))
        for _, connection in self._running:
            connection.recv()  # it has begun

    def __enter__(self) -> "_Load":
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for process, connection in self._running:
            try:
                while True:
                    self.samples.append(connection.recv())
            except EOFError:
                process.join()


class _Recorder:
    def __init__(self, kind: str) -> None:
        self.samples = Samples(kind, array("d"), array("d"), [])

    def time(self, action: Callable[[], str | None]) -> None:
        """Do it, and note how long it took and what was wrong with it."""
        began = time.monotonic()
        try:
            wrong = action()
        except Exception as error:
            wrong = f"{type(error).__name__}: {error}"
        self.samples.begun.append(began)
        self.samples.taken.append(time.monotonic() - began)
        if wrong is not None:
            self.samples.wrong.append(f"{self.samples.kind}: {wrong}")


def _read(given: _Given, stop: Event, out: Connection) -> None:
    chooser = random.Random(given.number)
    connection = http.client.HTTPConnection("127.0.0.1", given.port, timeout=30)
    seen: dict[str, tuple[int, int]] = {}
    recorder = _Recorder("read")

    def get(path: str) -> dict[str, Any]:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise ValueError(f"{answer.status} for {path}")
        return json.loads(body)

    def once() -> str | None:
        session_id = given.session(chooser)
        if chooser.random() < 0.2:
            item = get(f"/v1/sessions/{session_id}")
            found = item["seq"], item["turn_count"]
        else:
            page = get(f"/v1/sessions/{session_id}/turns?limit=1000")
            seqs = [turn["seq"] for turn in page["items"]]
            if len(seqs) != page["total_count"] or sorted(set(seqs)) != seqs:
                return f"{session_id}: {len(seqs)} turns of {page['total_count']}"
            found = max(seqs, default=0), len(seqs)
        before = seen.get(session_id, (0, 0))
        if found < before:
            return f"{session_id} went back from {before} to {found}"
        seen[session_id] = found
        return None

    out.send(None)
    while not stop.is_set():
        recorder.time(once)
    out.send(recorder.samples)


def _write(given: _Given, stop: Event, out: Connection) -> None:
    chooser = random.Random(1000 + given.number)
    connection = http.client.HTTPConnection("127.0.0.1", given.port, timeout=30)
    append, projected = _Recorder("append"), _Recorder("projected")
    with TurnLog.connect(given.urls.redis_url) as log:

        def once() -> None:
            session_id = given.session(chooser)
            log.session(session_id).append_turn("user", "word " * chooser.randrange(10, 150))

        def shown() -> str | None:
            body = json.dumps({"role": "user", "content": "shown?"})
            path = f"/v1/sessions/{given.session(chooser)}/turns?ack=projected"
            connection.request("POST", path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            return None if answer.status == 201 else f"{answer.status} for {path}"

        turns = 0
        out.send(None)
        while not stop.is_set():
            append.time(once)
            turns += 1
            if turns % 20 == 0:
                projected.time(shown)
    out.send(append.samples)
    out.send(projected.samples)


# Processes --------------------------------------------------------------------------------------


def _replayed(urls: ServerUrls) -> ReplayReport:
    """A replay in a process of its own, as the command runs it."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_replaying, args=(urls.postgres_url, theirs))
    process.start()
    theirs.close()
    try:
        return ours.recv()
    except EOFError:
        raise SystemExit("the replay failed") from None
    finally:
        process.join()


def _replaying(postgres_url: str, out: Connection) -> None:
    out.send(replay(postgres_url, tell=lambda _: None))


def _serve(urls: ServerUrls, port: int) -> None:
    app = create_app(ApiSettings(redis_url=urls.redis_url, postgres_url=urls.postgres_url))
    uvicorn.run(app, port=port, log_config=None, access_log=False)


@contextmanager
def _process(target: Callable[..., None], *args: object) -> Generator[None]:
    process = multiprocessing.get_context("spawn").Process(target=_ending, args=(target, args))
    process.start()
    try:
        yield
    finally:
        process.terminate()
        process.join()


def _ending(target: Callable[..., None], args: tuple[object, ...]) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    target(*args)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _await_server(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    raise SystemExit("the server does not answer")


if __name__ == "__main__":
    main()
