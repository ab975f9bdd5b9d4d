"""The proof: both servers are dumped whole, files of Redis included, and what was erased stands
nowhere, whatever generations there are, whatever is replayed, whatever Redis comes back with."""

import shutil
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from appending import event, turn
from dumping import dump_postgres, dump_redis, holding
from rig import Rig, dump, patched, restore
from servers import binaries, reachable_folder, wait_until
from test_erasure import everything
from verifying import run_verify

from turnlog_cli.embedded import EmbeddedServers
from turnlog_projector import replaying
from turnlog_projector.database import Database
from turnlog_projector.erasing_log import Request, states_of
from turnlog_projector.following import Progress
from turnlog_projector.replay import replay
from turnlog_projector.replay_until import Point, replay_until
from turnlog_projector.rollback import rollback
from turnlog_schemas import ids

pytestmark = pytest.mark.integration

SECRETS = ["zq7session", "zq7turn", "zq7user"]
"""Words, so that an index of words holds them as they are."""
KEPT = "zq7kept"


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where servers of its own keep their data: only then it holds nothing of other tests."""
    made = reachable_folder()
    yield made
    shutil.rmtree(made)


@pytest.fixture
def own(folder: Path) -> Iterator[Rig]:
    """A log in servers of its own."""
    running = EmbeddedServers(folder, appendfsync="no", durable=False, **binaries())
    urls = running.start()
    made = Rig(urls.redis_url, urls.postgres_url)
    yield made
    made.close()
    running.stop()


def fill(rig: Rig) -> None:
    """Sessions that hold the secrets in every field that takes a text, and others beside them."""
    whole, of_turn, of_user = SECRETS
    data = {"user_id": "me", "project": whole, "title": whole, "metadata": {whole: whole}}
    rig.writer.append("s", event("session.started", data), owner="me")
    rig.writer.append("s", *everything("t0", whole), turn("t1", whole))
    rig.writer.append("t", turn("t0", KEPT), *everything("t1", of_turn)[:-1], turn("t2", KEPT))
    for number in range(5):
        started = event("session.started", {"user_id": of_user, "title": of_user})
        rig.writer.append(f"u{number}", started, *everything("t0", of_user)[:-1], owner=of_user)
    rig.writer.append("k", turn("t0", KEPT))
    for session_id in ("s", "t", "u0"):
        rig.client.xadd(rig.writer.keys(session_id).live, {"delta": " ".join(SECRETS)})


def erase(rig: Rig) -> None:
    """What the commands append."""
    rig.writer.append("s", event("session.erased"))
    rig.writer.append("t", event("turn.erased", {"turn_id": "t1"}))
    for number in range(5):
        rig.writer.append(f"u{number}", event("session.erased"))


def files(folder: Path) -> dict[str, bytes]:
    """The files of Redis."""
    found: dict[str, bytes] = {}
    for path in (folder / "redis").rglob("*"):
        with suppress(FileNotFoundError, IsADirectoryError):  # Redis may just have replaced it
            found[str(path.relative_to(folder))] = path.read_bytes()
    return found


def left(rig: Rig, folder: Path) -> dict[str, list[str]]:
    """Where each secret still stands."""
    everywhere = {**dump_postgres(rig.connection), **dump_redis(rig.client), **files(folder)}
    found = {secret: holding(everywhere, secret) for secret in SECRETS}
    return {secret: places for secret, places in found.items() if places}


def wait_until_clean(rig: Rig) -> None:
    """Wait until every erasure has gone all its way."""

    def clean() -> bool:
        rows = rig.connection.execute(
            "SELECT count(*), count(files_done_at) FROM turnlog.erasures"
        ).fetchall()
        return rows[0][0] >= 7 and rows[0][0] == rows[0][1]

    wait_until(clean, "everything that was erased is gone from Redis and its files", 60.0)


def check(rig: Rig, folder: Path) -> None:
    """Nothing that was erased is left; everything else is; every generation is proven."""
    assert left(rig, folder) == {}
    assert holding(dump_postgres(rig.connection), KEPT)
    rig.wait_projected()
    generations = rig.connection.execute("SELECT generation FROM turnlog.generations").fetchall()
    for (generation,) in generations:
        _, differences = run_verify(rig, generation=generation, processes=0)
        assert differences == [], f"generation {generation}"


def searchable(rig: Rig) -> bool:
    """Whether the index of words holds each secret."""
    dumped = dump_postgres(rig.connection)
    return all(
        any(place.endswith(".search") for place in holding(dumped, secret)) for secret in SECRETS
    )


def now(rig: Rig) -> Point:
    """The moment of the last event."""
    row = rig.connection.execute("SELECT max(recorded_at) FROM turnlog.heads").fetchone()
    assert row is not None
    return Point(recorded_at=row[0])


def again(rig: Rig) -> None:
    replay(rig.postgres_url, tell=lambda _: None, processes=0)


@contextmanager
def under_way(rig: Rig, phase: str) -> Generator[None]:
    """A replay that has come to a phase and waits there meanwhile."""
    reached, go_on = threading.Event(), threading.Event()
    failed: list[BaseException] = []

    def tell(progress: Progress) -> None:
        if progress.phase == "indexes":  # so that there is something to catch up with
            rig.writer.append("k", turn(ids.new_id(), KEPT))
        if progress.phase == phase and not go_on.is_set():
            reached.set()
            go_on.wait(60)

    def run() -> None:
        try:
            replay(rig.postgres_url, tell=tell, processes=0)
        except BaseException as error:
            failed.append(error)
            reached.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert reached.wait(30), f"the replay does not come to: {phase}"
    try:
        yield
    finally:
        go_on.set()
        thread.join(60)
    if failed:
        raise failed[0]


def test_nothing_is_left_anywhere(own: Rig, folder: Path) -> None:
    fill(own)
    with own.worker(audit_seconds=2.0):
        own.wait_projected()
        again(own)
        replay_until(own.postgres_url, now(own), name="a look", tell=lambda _: None, processes=0)
        before = dump(own.client)
        assert set(left(own, folder)) == set(SECRETS)
        wait_until(lambda: searchable(own), "everything can be searched")
        erase(own)
        wait_until_clean(own)
        check(own, folder)
        again(own)
        check(own, folder)
    restore(own.client, before)
    with own.worker(audit_seconds=0.5):
        wait_until(lambda: not left(own, folder), "the older Redis is cleaned again", 60.0)
        check(own, folder)
        rollback(own.postgres_url, tell=lambda _: None, processes=0)
        check(own, folder)


@pytest.mark.parametrize("phase", ["events", "indexes", "verify", "flip"])
def test_a_replay_under_way_brings_nothing_back(own: Rig, folder: Path, phase: str) -> None:
    fill(own)
    with own.worker():
        own.wait_projected()
        again(own)
        with under_way(own, phase):
            erase(own)
            if phase != "flip":  # which holds the offsets
                wait_until_clean(own)
                assert not (all_done(own) and left(own, folder))
        wait_until_clean(own)
        check(own, folder)


def test_cleaning_is_gone_on_with_by_another_worker(own: Rig, folder: Path) -> None:
    fill(own)
    projection = own.projection()
    own.drain(projection)
    erase(own)
    while own.step(projection):
        pass
    own.discard(projection)
    assert set(left(own, folder)) == set(SECRETS)
    with own.worker():
        wait_until_clean(own)
        check(own, folder)


def all_done(rig: Rig) -> bool:
    """What `turnlog erase` waits for."""
    requests = [Request(rig.key(name)) for name in ("s", "u0", "u1", "u2", "u3", "u4")]
    requests.append(Request(rig.key("t"), "t1"))
    return all(state.done for state in states_of(rig.connection, requests))


def test_what_a_killed_replay_has_left_goes(own: Rig, folder: Path) -> None:
    fill(own)
    own.drain(own.projection())

    def nobody(_connection: Database, _generation: int) -> None:
        """A process that is killed tidies nothing up."""

    with suppress(KeyboardInterrupt), patched(replaying, "drop_generation", nobody):

        def kill(progress: Progress) -> None:
            if progress.phase == "indexes":
                raise KeyboardInterrupt

        replay(own.postgres_url, tell=kill, processes=0)
    with own.worker():
        erase(own)
        wait_until(lambda: all_done(own), "everything is erased")
        check(own, folder)


def told(own: Rig) -> Callable[[], list[str]]:
    def read() -> list[str]:
        rows = own.connection.execute("SELECT DISTINCT files FROM turnlog.erasures").fetchall()
        return [row[0] for row in rows if row[0] is not None]

    return read


def test_a_server_that_refuses_to_rewrite_its_files_is_named(own: Rig) -> None:
    own.client.execute_command("ACL", "SETUSER", "limited", "on", ">pw", "~*", "&*", "+@all")
    own.client.execute_command("ACL", "SETUSER", "limited", "-bgrewriteaof", "-config")
    own.writer.append("s", turn("t0"), event("session.erased"))
    host = own.redis_url.rpartition("@")[2]
    own.redis_url = f"redis://limited:pw@{host}"
    with own.worker():
        said = wait_until(told(own), "something is said about the files")
    assert said[0].startswith("BGREWRITEAOF was refused")
