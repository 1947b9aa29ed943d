import pytest

from services.gateway.prefer import MAX_WAIT_SECONDS, Preferences, parse


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], Preferences(5.0, False)),
        (["wait=2"], Preferences(2.0, False)),
        (["wait=0"], Preferences(0.0, False)),
        (["handling=strict"], Preferences(5.0, True)),
        (["Handling=strict, WAIT=7"], Preferences(7.0, True)),
        (["wait=7", "handling=strict"], Preferences(7.0, True)),
        (['handling="strict"; a=b, wait = "3"'], Preferences(3.0, True)),
        (["handling=lenient"], Preferences(5.0, False)),
        (["return=minimal, respond-async, wait=1"], Preferences(1.0, False)),
    ],
)
def test_preferences_are_read_as_rfc_7240_writes_them(
    values: list[str], expected: Preferences
) -> None:
    assert parse(values) == expected


def test_the_first_of_a_repeated_preference_counts() -> None:
    assert parse(["wait=1, wait=9"]).wait == 1.0
    assert parse(["wait=1", "wait=9"]).wait == 1.0


@pytest.mark.parametrize("value", ["wait=soon", "wait=-1", "wait=1.5", "wait=", "wait=٣", "wait"])
def test_a_wait_that_is_no_number_of_seconds_is_ignored(value: str) -> None:
    assert parse([value]).wait == 5.0


def test_what_cannot_be_read_costs_only_itself() -> None:
    assert parse(["=;=, wait=3, @@@, handling=strict"]) == Preferences(3.0, True)


def test_a_long_wait_is_shortened() -> None:
    assert parse(["wait=999999"]).wait == MAX_WAIT_SECONDS
