"""A replica is promoted that had not got everything yet."""

import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
import redis
from appending import Writer, turn
from rig import Rig
from servers import binaries, reachable_folder, wait_until
from watching import advice, healed

from turnlog_cli.wheels import valkey_binary

pytestmark = pytest.mark.integration


class Replica(NamedTuple):
    """A second server that follows the first."""

    url: str
    client: redis.Redis

    def promote(self) -> None:
        """Cut it off, and make it a primary."""
        self.client.execute_command("REPLICAOF", "NO", "ONE")


@pytest.fixture
def replica(redis_url: str) -> Iterator[Replica]:
    primary = urlsplit(redis_url)
    folder = reachable_folder()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    binary = binaries().get("redis_binary") or valkey_binary(folder, None)
    settings = ["--port", str(port), "--bind", "127.0.0.1", "--databases", "64", "--save", ""]
    settings += ["--replicaof", str(primary.hostname), str(primary.port), "--dir", str(folder)]
    settings += ["--masterauth", primary.password or "", "--repl-diskless-load", "swapdb"]
    process = subprocess.Popen([binary, *settings], stdout=subprocess.DEVNULL)
    url = f"redis://127.0.0.1:{port}{primary.path}"
    client = redis.Redis.from_url(url)
    yield Replica(url, client)
    client.close()
    process.terminate()
    process.wait()
    shutil.rmtree(folder)


def linked(replica: Replica) -> bool:
    try:
        return replica.client.info("replication")["master_link_status"] == "up"
    except redis.ConnectionError:
        return False


def length(client: redis.Redis, key: str) -> Callable[[], bool]:
    return lambda: client.xlen(key) == 1


def test_a_replica_that_is_behind_postgres_gets_back_what_it_lacks(
    rig: Rig, replica: Replica
) -> None:
    wait_until(lambda: linked(replica), "the replica is linked")
    for number in range(6):
        rig.writer.append(f"s{number}", turn("t0"))
    for number in range(6):
        stream = rig.writer.keys(f"s{number}").stream
        wait_until(length(replica.client, stream), "the replica has everything")
    with rig.worker() as worker:
        rig.wait_projected()
        replica.promote()
        for number in range(3):
            rig.writer.append(f"s{number}", turn("late"))
        rig.wait_projected()
        worker.stop()
    promoted = Rig(replica.url, rig.postgres_url, partitions=rig.partitions)
    writer = Writer(replica.client, partitions=rig.partitions)
    writer.append("s0", turn("instead"))
    with promoted.worker() as worker:
        promoted.wait_projected()
        wait_until(lambda: healed(promoted).get("streams") == 3, "it is told")
        worker.stop()
    promoted.check()
    assert healed(promoted)["events_restored"] == 3
    assert healed(promoted)["events_moved"] == 1
    assert advice(promoted) == ""
    promoted.close()
