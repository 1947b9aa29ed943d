"""One stack for a module of tests; a module's REPLICAS say how many processes of a service."""

from collections.abc import Iterator

import pytest

from tests.acceptance.brokers import TANSU
from tests.acceptance.stack import Stack, running_stack


@pytest.fixture(scope="module")
def broker() -> str:
    """The broker of a test that does not say on which it runs."""
    return TANSU


@pytest.fixture(scope="module")
def stack(request: pytest.FixtureRequest, broker: str) -> Iterator[Stack]:
    """A ready stack of the module's own, on each broker that its tests run on."""
    with running_stack(broker=broker, **getattr(request.module, "REPLICAS", {})) as found:
        yield found
