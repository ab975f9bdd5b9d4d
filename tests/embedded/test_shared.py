"""The databases that tests are given are empty and their own."""

import psycopg
import pytest
import redis
from servers import wait_until

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_gets_empty_databases(redis_url: str, postgres_url: str, turn: int) -> None:
    with redis.Redis.from_url(redis_url) as client, psycopg.connect(postgres_url) as connection:
        assert client.dbsize() == 0
        client.set("used", turn)
        assert connection.execute("SELECT to_regclass('used')").fetchone() == (None,)
        connection.execute("CREATE TABLE used ()")


def test_a_wait_that_fails_says_what_for() -> None:
    with pytest.raises(AssertionError, match=r"waited 0 s until pigs fly; the last answer: \[\]"):
        wait_until(list[str], "pigs fly", timeout_s=0)
