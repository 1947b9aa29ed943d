"""How shards are shared out."""

from hypothesis import given
from hypothesis import strategies as st

from services.relay.shards import share


@given(st.integers(1, 64), st.lists(st.integers(1, 10_000), min_size=1, max_size=80, unique=True))
def test_all_shards_are_shared_out_and_nobody_has_two_more_than_another(
    shards: int, pids: list[int]
) -> None:
    relays = sorted(pids)
    shares = [share(shards, relays, me) for me in relays]
    assert sum(shares) == shards
    assert max(shares) - min(shares) <= 1


def test_a_third_relay_gets_one_of_four() -> None:
    assert [share(4, [10, 20, 30], me) for me in (10, 20, 30)] == [2, 1, 1]
