"""Sessions as one JSON document:

    {"format":"turnlog","version":1,"sessions":[{"session":{…},"turns":[{…},…]},…]}

Items are those of the API, as Postgres has made them ready, one a line.
"""


class JsonWriter:
    """Writes the document."""

    def __init__(self) -> None:
        self._sessions = 0
        self._turns = 0

    def begin(self) -> bytes:
        return b'{"format":"turnlog","version":1,"sessions":['

    def session(self, body: bytes) -> bytes:
        comma = b"," if self._sessions else b""
        self._sessions += 1
        self._turns = 0
        return b'%b\n{"session":%b,"turns":[' % (comma, body)

    def turns(self, bodies: list[bytes]) -> bytes:
        comma = b"," if self._turns else b""
        self._turns += len(bodies)
        return b"%b\n%b" % (comma, b",\n".join(bodies))

    def end_session(self) -> bytes:
        return b"]}"

    def end(self) -> bytes:
        return b"\n]}\n"
