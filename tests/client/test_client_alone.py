"""The client needs httpx and the schemas, nothing of the producers or servers."""

import sys
from subprocess import run

WITHOUT = """
import sys
for name in {names!r}:
    sys.modules[name] = None
import turnlog_client
"""


def without(*names: str) -> tuple[int, str]:
    """Import the client where these packages cannot be imported."""
    code = WITHOUT.format(names=names)
    done = run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def test_it_works_without_redis_and_the_servers_packages() -> None:
    assert without("redis", "hiredis", "psycopg", "fastapi", "pydantic_settings") == (0, "")


def test_without_httpx_it_says_what_to_install() -> None:
    code, shown = without("httpx")
    assert code == 1
    assert "pip install 'turnlog[client]'" in shown.splitlines()[-1]
