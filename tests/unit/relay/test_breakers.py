"""When a closed topic is asked again."""

from services.relay.breakers import Breakers


def test_the_pause_doubles_up_to_ten_seconds() -> None:
    breakers, now = Breakers(), 100.0
    assert breakers.open("t", "missing", now)
    pauses = []
    for _ in range(6):
        due = breakers.next_due()
        assert due is not None
        pauses.append(due - now)
        now = due
        assert breakers.due(now) == ["t"]
        breakers.refused("t", now)
    assert pauses == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_opening_an_open_one_changes_nothing() -> None:
    breakers = Breakers()
    assert breakers.open("t", "missing", 0.0)
    assert not breakers.open("t", "missing", 0.5)
    assert breakers.due(1.0) == ["t"]


def test_a_relapse_waits_longer_and_a_late_one_does_not() -> None:
    breakers = Breakers()
    breakers.open("t", "forbidden", 0.0)
    breakers.close("t", 1.0)
    assert breakers.topics() == []
    assert breakers.next_due() is None
    breakers.open("t", "forbidden", 2.0)
    assert breakers.next_due() == 4.0
    breakers.close("t", 4.0)
    breakers.open("t", "forbidden", 100.0)
    assert breakers.next_due() == 101.0


def test_closed_ones_are_forgotten_in_time() -> None:
    breakers = Breakers()
    breakers.open("t", "missing", 0.0)
    breakers.open("u", "missing", 0.0)
    breakers.close("t", 1.0)
    breakers.forget_old(50.0)
    assert breakers.topics() == ["u"]
