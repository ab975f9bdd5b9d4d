"""A mixed load for minutes against `turnlog up`: memory over time, errors, p99 by kind of request.

Writes, lists, pages, search, statistics, strong reads and reads with ETags go on side by side.
Answers are looked at: a strong read must hold the turn that was just written, a page must be in
order. Ends with 1 after any error, or when the memory of the API or the projector does not stay
flat.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from harness import turn_event

from turnlog_cli.instance import NoInstance, ServerUrls, find_instance
from turnlog_schemas.ids import new_id

_EVERY_S = 10.0
_FLAT = 1.15
"""So much more memory, and 16 MiB, the last third of the run may take than the third before."""


class Memory(NamedTuple):
    """Of a process and those below it, in MiB."""

    api: float
    projector: float


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0, metavar="N")
    parser.add_argument("--clients", type=int, default=8, metavar="N", help="at the same time")
    parser.add_argument("--sessions", type=int, default=300, metavar="N")
    parser.add_argument("--users", type=int, default=20, metavar="N")
    options = parser.parse_args()
    with up() as (folder, url):
        soak = Soak(folder, url, options)
        asyncio.run(soak.run())
    raise SystemExit(soak.verdict())


@contextmanager
def up() -> Generator[tuple[Path, str]]:
    """`turnlog up` on a new folder: where it keeps its data, and the address of its API."""
    folder = Path(tempfile.mkdtemp(prefix="turnlog-soak-", dir="/tmp"))
    folder.chmod(0o711)
    data = folder / "data"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TURNLOG_")}
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "turnlog_cli.main", "up", "--data-dir", data, "--port", "0"],
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 120
        while (urls := _running(data)) is None or urls.api_url is None:
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("turnlog up does not start")
            time.sleep(0.1)
        yield data, urls.api_url
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _running(data: Path) -> ServerUrls | None:
    try:
        return find_instance(data)
    except NoInstance:  # it is still starting
        return None


class Soak:
    """The load, and what came of it."""

    def __init__(self, folder: Path, url: str, options: argparse.Namespace) -> None:
        self._folder = folder
        self._url = url
        self._options = options
        self._end = 0.0
        self._taken: defaultdict[str, list[float]] = defaultdict(list)
        self._errors: Counter[str] = Counter()
        self._memory: list[Memory] = []
        self._tags: dict[str, str] = {}
        self._written = 0

    async def run(self) -> None:
        """All clients until the time is over."""
        print(f"{os.cpu_count()} cores; {json.dumps(vars(self._options))}", flush=True)
        self._end = time.monotonic() + self._options.minutes * 60
        async with httpx.AsyncClient(base_url=self._url, timeout=60.0) as api:
            await asyncio.gather(
                self._watch(), *(self._client(api, n) for n in range(self._options.clients))
            )

    async def _client(self, api: httpx.AsyncClient, number: int) -> None:
        chooser = random.Random(number)
        kinds: list[tuple[str, int, Callable[[httpx.AsyncClient, random.Random], Awaitable[None]]]]
        kinds = [
            ("write", 40, self._write),
            ("change", 6, self._change),
            ("list", 14, self._list),
            ("page", 18, self._page),
            ("search", 6, self._search),
            ("stats", 1, self._stats),
            ("strong read", 8, self._strong),
            ("etag", 7, self._etag),
        ]
        weights = [weight for _, weight, _ in kinds]
        while time.monotonic() < self._end:
            [(name, _, ask)] = chooser.choices(kinds, weights)
            began = time.perf_counter()
            try:
                await ask(api, chooser)
            except Wrong as error:
                self._errors[f"{name}: {error}"] += 1
            except httpx.HTTPError as error:
                self._errors[f"{name}: {type(error).__name__}"] += 1
            self._taken[name].append(time.perf_counter() - began)

    # Kinds of requests -----------------------------------------------------------------------

    def _session(self, chooser: random.Random) -> str:
        return f"s-{chooser.randrange(self._options.sessions)}"

    async def _write(self, api: httpx.AsyncClient, chooser: random.Random) -> None:
        await self._append(api, chooser, self._session(chooser))

    async def _change(self, api: httpx.AsyncClient, chooser: random.Random) -> None:
        """An edit, a rating, a new title, or a retraction, of a turn that was just written."""
        session = self._session(chooser)
        turn = (await self._append(api, chooser, session))["turn_id"]
        url = f"/v1/sessions/{session}"
        match chooser.randrange(4):
            case 0:
                await ask(api, "PATCH", f"{url}/turns/{turn}", json={"content": "edited"})
            case 1:
                body = {"kind": "rating", "value": 1, "by": "u-1"}
                await ask(api, "POST", f"{url}/turns/{turn}/annotations", json=body)
            case 2:
                await ask(api, "PATCH", url, json={"title": f"title {chooser.random()}"})
            case _:
                await ask(api, "DELETE", f"{url}/turns/{turn}")

    async def _append(
        self, api: httpx.AsyncClient, chooser: random.Random, session: str
    ) -> dict[str, Any]:
        _, raw = turn_event(chooser.randrange(2**30))
        data = json.loads(raw)["data"]
        user = f"u-{int(session.removeprefix('s-')) % self._options.users}"
        headers = {"Idempotency-Key": new_id(), "Turnlog-User": user}
        url = f"/v1/sessions/{session}/turns"
        answer = await ask(api, "POST", url, json=data, headers=headers)
        self._written += 1
        written: dict[str, Any] = answer.json()
        if written["turn_id"] != data["turn_id"] or written["repeat"]:
            raise Wrong("the answer is of another turn")
        return written

    async def _list(self, api: httpx.AsyncClient, chooser: random.Random) -> None:
        headers = {"Turnlog-User": f"u-{chooser.randrange(self._options.users)}"}
        page = (await ask(api, "GET", "/v1/sessions?limit=10", headers=headers)).json()
        times = [item["updated_at"] for item in page["items"]]
        if times != sorted(times, reverse=True):
            raise Wrong("sessions are out of order")
        if page["has_more"]:
            params = {"cursor": page["next_cursor"], "limit": "10"}
            await ask(api, "GET", "/v1/sessions", params=params, headers=headers)

    async def _page(self, api: httpx.AsyncClient, chooser: random.Random) -> None:
        session = self._session(chooser)
        params = {"order": "desc", "limit": "100"}
        url = f"/v1/sessions/{session}/turns"
        answer = await ask(api, "GET", url, params=params, also=404)
        if answer.status_code == 200:
            seqs = [turn["seq"] for turn in answer.json()["items"]]
            if seqs != sorted(set(seqs), reverse=True):
                raise Wrong("turns are out of order")

    async def _search(self, api: httpx.AsyncClient, chooser: random.Random) -> None:
        words = ("revenue", "partners", '"last quarter"', "costs -region", "year or orders")
        sort = chooser.choice(("rank", "newest"))
        params = {"q": chooser.choice(words), "sort": sort, "limit": "10"}
        await ask(api, "GET", "/v1/search", params=params)

    async def _stats(self, api: httpx.AsyncClient, chooser: random.Random) -> None:
        user = f"u-{chooser.randrange(self._options.users)}"
        await ask(api, "GET", "/v1/stats", headers={"Turnlog-User": user})

    async def _strong(self, api: httpx.AsyncClient, chooser: random.Random) -> None:
        session = self._session(chooser)
        written = await self._append(api, chooser, session)
        params = {"consistency": "strong", "order": "desc", "limit": "50"}
        page = await ask(api, "GET", f"/v1/sessions/{session}/turns", params=params)
        if written["turn_id"] not in [turn["turn_id"] for turn in page.json()["items"]]:
            raise Wrong("a strong read does not show what was just written")

    async def _etag(self, api: httpx.AsyncClient, chooser: random.Random) -> None:
        url = f"/v1/sessions/{self._session(chooser)}"
        headers = {"If-None-Match": self._tags[url]} if url in self._tags else {}
        answer = await ask(api, "GET", url, headers=headers, also=404)
        if answer.status_code == 304 and (answer.content or url not in self._tags):
            raise Wrong("304 with a body, or unasked")
        if answer.status_code == 200:
            self._tags[url] = answer.headers["etag"]

    # Watching --------------------------------------------------------------------------------

    async def _watch(self) -> None:
        began, before = time.monotonic(), 0
        while time.monotonic() < self._end:
            await asyncio.sleep(min(_EVERY_S, max(self._end - time.monotonic(), 0.1)))
            memory = Memory(self._rss("api"), self._rss("projector"))
            self._memory.append(memory)
            done = sum(map(len, self._taken.values()))
            print(
                f"{time.monotonic() - began:6.0f} s: API {memory.api:6.1f} MiB, projector "
                f"{memory.projector:6.1f} MiB; {done - before:6,} requests, "
                f"{self._written:8,} turns so far, {self._errors.total()} errors",
                flush=True,
            )
            before = done

    def _rss(self, name: str) -> float:
        """The memory of one of the processes of `turnlog up`, with that of those it has started."""
        root = json.loads((self._folder / f"{name}.pid").read_text())["pid"]
        children: defaultdict[int, list[int]] = defaultdict(list)
        pages: dict[int, int] = {}
        for path in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                fields = path.read_text().rpartition(")")[2].split()
                pid = int(path.parent.name)
                children[int(fields[1])].append(pid)
                pages[pid] = int(fields[21])
        waiting, total = [root], 0
        while waiting:
            pid = waiting.pop()
            total += pages.get(pid, 0)
            waiting += children[pid]
        return total * os.sysconf("SC_PAGE_SIZE") / 2**20

    def verdict(self) -> int:
        """Print what there was; the exit code."""
        for name, taken in sorted(self._taken.items()):
            cuts = (
                statistics.quantiles(taken, n=100, method="inclusive")
                if len(taken) > 1
                else taken * 99
            )
            print(
                f"{name + ':':12} {len(taken):8,} requests, p50 {cuts[49] * 1000:7.1f} ms, "
                f"p99 {cuts[98] * 1000:7.1f} ms, at most {max(taken) * 1000:7.1f} ms"
            )
        for error, count in self._errors.most_common(20):
            print(f"ERROR {count:,} times: {error}")
        grown = [name for name in Memory._fields if not self._is_flat(name)]
        for name in grown:
            print(f"GROWN: the memory of the {name}")
        print(f"errors: {self._errors.total()}; memory: {'GROWN' if grown else 'flat'}")
        return 1 if self._errors or grown else 0

    def _is_flat(self, name: str) -> bool:
        """Whether the last third of the run took no more than the one before it; the first third
        fills pools and caches."""
        values = [getattr(memory, name) for memory in self._memory]
        third = len(values) // 3
        if third < 2:
            return True
        middle, last = values[third : 2 * third], values[-third:]
        growth: float = statistics.median(last) - _FLAT * statistics.median(middle)
        return growth <= 16


class Wrong(Exception):
    """An answer that must not be."""


async def ask(
    api: httpx.AsyncClient, method: str, url: str, *, also: int = 0, **given: Any
) -> httpx.Response:
    """An answer that is as it is to be: 2xx, 304, or `also`."""
    answer = await api.request(method, url, **given)
    if answer.is_success or answer.status_code in (304, also):
        return answer
    raise Wrong(f"{answer.status_code} to {method}: {answer.text[:300]}")


if __name__ == "__main__":
    main()
