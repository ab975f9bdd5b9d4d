"""Ports that nobody listens on. Whoever starts a server must still expect that somebody was faster.

They lie below the range that systems hand out for outgoing connections: a port of that range may be
gone in an instant, and while its server is down.
"""

import secrets
import socket

_PORTS = range(20_000, 32_000)
LOOPBACK = "127.0.0.1"


def free_port() -> int:
    """A port of the loopback address, chosen at random: others choose at the same time."""
    while True:
        port = secrets.choice(_PORTS)
        if is_free(port):
            return port


def is_free(port: int) -> bool:
    """Whether one can listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
