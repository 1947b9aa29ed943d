"""On which brokers a test runs, of those that `crossroads up` starts.

Where Apache Kafka cannot be started, its tests are skipped, and the last lines say why.
"""

import pytest

from tests.servers import no_archives

TANSU, APACHE = "tansu", "kafka"


def on(*names: str, long_on: str | None = None) -> pytest.MarkDecorator:
    """Run on each of these brokers; on `long_on` only with the long tests."""
    found = []
    for name in names:
        marks = []
        if name == APACHE and (reason := no_archives()) is not None:
            marks.append(pytest.mark.skip(reason=reason))
        if name == long_on:
            marks.append(pytest.mark.long)
        found.append(pytest.param(name, marks=marks))
    return pytest.mark.parametrize("broker", found, scope="module")


def on_each(*, long_on: str | None = None) -> pytest.MarkDecorator:
    """Run on every broker there is."""
    return on(TANSU, APACHE, long_on=long_on)
