"""A served gateway for every test that asks from outside."""

from collections.abc import Iterator

import pytest

from tests.contract.served import Served, served
from tests.servers import Servers


@pytest.fixture(scope="module")
def gateway(servers: Servers, postgres_dsn: str, template_database: str) -> Iterator[Served]:
    """A gateway with the real pipeline, where ACME, Haul and Eve trade."""
    with served(servers, postgres_dsn, template_database) as found:
        yield found
