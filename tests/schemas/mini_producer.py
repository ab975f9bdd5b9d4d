"""A producer written from docs/wire-format.md alone: a socket, RESP, and the Lua file. It knows
nothing of the packages, as one in another language would not."""

import json
import socket
import uuid
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

APPEND_LUA = (
    Path(__file__).resolve().parents[2] / "producers" / "turnlog_producers" / "lua" / "append.lua"
)


class RedisRefused(Exception):
    """An error reply."""


class Redis:
    """Just enough of a client: arrays of bulk strings out, RESP2 replies in."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._socket = socket.create_connection((address.hostname, address.port or 6379), 10)
        self._replies = self._socket.makefile("rb")
        if address.password:
            self("AUTH", unquote(address.password))
        self("SELECT", address.path.strip("/") or "0")

    def __call__(self, *words: str | bytes | int) -> Any:
        parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        bulk = b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)
        self._socket.sendall(b"*%d\r\n" % len(parts) + bulk)
        return self._reply()

    def _reply(self) -> Any:
        line = self._replies.readline()
        kind, text = line[:1], line[1:-2]
        if kind == b"-":
            raise RedisRefused(text.decode())
        if kind == b"+":
            return text
        if kind == b":":
            return int(text)
        if kind == b"$":
            if text == b"-1":
                return None
            content = self._replies.read(int(text) + 2)
            return content[:-2]
        assert kind == b"*", line
        return None if text == b"-1" else [self._reply() for _ in range(int(text))]

    def close(self) -> None:
        self._replies.close()
        self._socket.close()


class Session(NamedTuple):
    """The names of a session."""

    tenant: str
    session_id: str
    partition: int

    @property
    def name(self) -> str:
        return f"{self.tenant}:{self.session_id}"

    def keys(self) -> list[str]:
        tag = f"{{tl:{self.partition}}}"
        return [
            f"{tag}:heads",
            f"{tag}:index",
            f"{tag}:s:{self.name}",
            f"{tag}:ids:{self.name}",
        ]


class MiniProducer:
    """Appends events."""

    def __init__(self, url: str) -> None:
        self.redis = Redis(url)
        meta = self.redis("GET", "turnlog:meta")
        if meta is None:
            mine = json.dumps({"log_id": str(uuid.uuid4()), "partitions": 64})
            self.redis("SET", "turnlog:meta", mine, "NX")
            meta = self.redis("GET", "turnlog:meta")
        self.partitions: int = json.loads(meta)["partitions"]
        self._sha: bytes = self.redis("SCRIPT", "LOAD", APPEND_LUA.read_bytes())

    def session(self, session_id: str, tenant: str = "default") -> Session:
        number = zlib.crc32(f"{tenant}:{session_id}".encode())
        return Session(tenant, session_id, number % self.partitions)

    def append(
        self, session: Session, *events: dict[str, Any], owner: str = "", expected_seq: str = ""
    ) -> Any:
        marks = {"session.started": "s", "session.erased": "e"}
        arguments: list[str | bytes] = [session.name, str(session.partition), "", expected_seq]
        arguments += [owner, "", ""]
        for event in events:
            raw = json.dumps(event).encode()
            arguments += [event["event_id"], marks.get(event["type"], ""), raw]
        return self.redis("EVALSHA", self._sha, 4, *session.keys(), *arguments)


def event(type_: str, **data: Any) -> dict[str, Any]:
    """A new event."""
    return {
        "event_id": str(uuid.uuid4()),
        "type": type_,
        "version": 1,
        "at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "data": data,
    }
