import socket
from pathlib import Path

import pytest

from services.local.errors import PortTaken
from services.local.ports import Ports, is_free


def test_free_ports_are_distinct_and_below_the_range_of_outgoing_connections():
    ports = Ports()
    taken = [ports.take() for _ in range(50)]
    lowest_outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert len(set(taken)) == 50
    assert all(is_free(port) for port in taken)
    if lowest_outgoing > 21_000:
        assert max(taken) < lowest_outgoing


def test_a_base_gives_the_ports_that_follow_it():
    base = Ports().take()
    ports = Ports(base)
    assert ports.take() == base


def test_a_base_that_is_in_use_is_refused_with_its_number():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        with pytest.raises(PortTaken, match=str(port)):
            Ports(port).take()
