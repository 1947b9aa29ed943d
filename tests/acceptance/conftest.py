"""One stack for a module of tests; a module's REPLICAS say how many processes of a service."""

from collections.abc import Iterator

import pytest

from tests.acceptance.stack import Stack, running_stack


@pytest.fixture(scope="module")
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """A ready stack of the module's own."""
    with running_stack(**getattr(request.module, "REPLICAS", {})) as found:
        yield found
