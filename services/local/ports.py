"""Ports on the loopback interface."""

import random
import socket
from pathlib import Path

from services.local.errors import LocalError, PortTaken

LOOPBACK = "127.0.0.1"
LOWEST = 20_000
ATTEMPTS = 2_000


class Ports:
    """Hands out ports: the next from a base on, or any that are free.

    Free ones are taken from below the kernel's range for outgoing connections: a port in that range
    can be lost to one in the moment in which a server is started again.
    """

    def __init__(self, base: int | None = None) -> None:
        self._next = base
        self._given: set[int] = set()

    def take(self, preferred: int | None = None) -> int:
        """One more port, free now and not handed out before.

        Without a base it is the preferred one, if that is free.

        Raises:
            PortTaken: the port that the base asks for is in use.
            LocalError: no free port was found.
        """
        if self._next is not None:
            port = self._next
            self._next += 1
            if not is_free(port):
                raise PortTaken(port)
            return port
        if preferred is not None and preferred not in self._given and is_free(preferred):
            self._given.add(preferred)
            return preferred
        highest = _outgoing_range_start()
        for _ in range(ATTEMPTS):
            port = random.randrange(LOWEST, highest)  # noqa: S311 - not a secret
            if port not in self._given and is_free(port):
                self._given.add(port)
                return port
        raise LocalError(f"no free port between {LOWEST} and {highest}")


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _outgoing_range_start() -> int:
    file = Path("/proc/sys/net/ipv4/ip_local_port_range")
    start = int(file.read_text().split()[0]) if file.exists() else 32_768
    return start if start > LOWEST + 1_000 else 60_000
