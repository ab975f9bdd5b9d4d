"""What operators see: the status, as the API and the command answer it."""

import asyncio
from typing import Any

from rig import Rig

from turnlog_api.logreads import LogReads
from turnlog_api.reading import Reader
from turnlog_api.redislink import RedisLink
from turnlog_api.status import read_status


def status(rig: Rig) -> dict[str, Any]:
    """The status of a log, as an admin sees it."""

    async def read() -> dict[str, Any]:
        link = RedisLink(rig.redis_url)
        reader = Reader(rig.postgres_url, size=1)
        await reader.open()
        try:
            return await read_status(LogReads(link, None), reader)
        finally:
            await reader.close()
            await link.close()

    return asyncio.run(read())


def healed(rig: Rig) -> dict[str, int]:
    """What the status counts of healings; zeros are left out."""
    counts = status(rig)["healings"]
    return {name: count for name, count in counts.items() if name != "newest" and count}


def advice(rig: Rig) -> str:
    """What the status says is to be done."""
    return "\n".join(status(rig)["advice"])
