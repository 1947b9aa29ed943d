"""The outbox's codec and its shards; what touches the database is in tests/integration."""

from hypothesis import given
from hypothesis import strategies as st

from services.kit.outbox import pack_headers, shard_of, unpack_headers

HEADERS = st.lists(
    st.tuples(st.text(st.characters(codec="utf-8"), max_size=40), st.none() | st.binary()),
    max_size=20,
)


@given(HEADERS)
def test_headers_come_back_as_they_were_with_nulls_and_repeated_names(
    headers: list[tuple[str, bytes | None]],
) -> None:
    assert unpack_headers(pack_headers(headers)) == headers


def test_a_key_keeps_its_shard_in_every_release() -> None:
    # Fixed numbers: another hash would let two releases send one order from two shards.
    assert [shard_of(key, 4) for key in ("", "a", "6561d1a2f00dbeefcafe0123", "Ü")] == [0, 3, 0, 1]


@given(st.text(st.characters(codec="utf-8")), st.integers(1, 64))
def test_a_shard_is_one_of_those_there_are(key: str, shards: int) -> None:
    assert 0 <= shard_of(key, shards) < shards
