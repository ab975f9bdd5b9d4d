"""Which log a Redis holds."""

import pytest

from turnlog_producers import Misconfigured
from turnlog_producers.meta import LogMeta, new_meta


def test_what_is_written_is_read() -> None:
    meta = new_meta(None)
    assert meta.partitions == 64
    assert LogMeta.parse(meta.format()) == meta


@pytest.mark.parametrize(
    "value",
    [b"", b"text", b"[]", b"7", b"{}", b'{"log_id": 1, "partitions": 8}', b"\xff"]
    + [b'{"log_id": "x", "partitions": %s}' % number for number in (b"0", b'"8"', b"true")],
)
def test_a_value_of_somebody_else_is_refused(value: bytes) -> None:
    with pytest.raises(Misconfigured, match=r"turnlog:meta holds no log of Turnlog"):
        LogMeta.parse(value)
