import pytest

from services.gateway.problems import Problem
from services.gateway.rates import Rates


async def test_without_a_limit_nothing_is_counted() -> None:
    rates = Rates(None)
    for _ in range(100):
        await rates.take("a")


async def test_beyond_the_limit_it_is_429_with_retry_after_for_this_credential_alone() -> None:
    rates = Rates("2/minute")
    await rates.take("a")
    await rates.take("a")
    with pytest.raises(Problem) as caught:
        await rates.take("a")
    assert caught.value.status == 429
    assert 1 <= int(caught.value.headers["Retry-After"]) <= 60
    await rates.take("b")


async def test_of_several_limits_each_counts() -> None:
    rates = Rates("100/hour;1/second")
    await rates.take("a")
    with pytest.raises(Problem):
        await rates.take("a")
