"""Operators see how far search is behind."""

import httpx
import pytest
from appending import turn
from searched import index_all
from served import Stage

pytestmark = pytest.mark.integration


async def test_the_status_says_how_far_search_is_behind(
    stage: Stage, api: httpx.AsyncClient
) -> None:
    stage.append("s", [turn("t", "apple"), turn("u", "pear")])
    stage.project()
    search = (await api.get("/v1/status")).json()["search"]
    assert (search["events_behind"], search["sessions_behind"]) == (2, 0)
    assert search["seconds_behind"] > 0
    assert search["bytes"] > 0
    index_all(stage.connection)
    search = (await api.get("/v1/status")).json()["search"]
    assert (search["events_behind"], search["seconds_behind"]) == (0, 0)
