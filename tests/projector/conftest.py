"""Fixtures of the projector's tests."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from rig import Rig


@pytest.fixture
def rig(redis_url: str, postgres_url: str) -> Iterator[Rig]:
    """A log of 4 partitions and its initialised database."""
    made = Rig(redis_url, postgres_url)
    yield made
    made.close()
