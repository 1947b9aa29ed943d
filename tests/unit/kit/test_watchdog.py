from services.kit.watchdog import Sight, Watchdog


def watchdog() -> Watchdog[str]:
    return Watchdog(stall_seconds=60, end_seconds=180)


def test_lag_that_does_not_move_stalls_and_then_ends() -> None:
    dog = watchdog()
    for now in (0, 59):
        dog.look(now, {"p": Sight(3, 1)})
        assert dog.stalled() == set()
    dog.look(60, {"p": Sight(4, 1)})
    assert dog.stalled() == {"p"}
    assert dog.hopeless() == set()
    dog.look(180, {"p": Sight(9, 1)})
    assert dog.hopeless() == {"p"}


def test_any_move_starts_the_clock_anew() -> None:
    dog = watchdog()
    dog.look(0, {"p": Sight(3, 1)})
    dog.look(59, {"p": Sight(3, 2)})
    dog.look(118, {"p": Sight(3, 2)})
    assert dog.stalled() == set()


def test_nothing_to_do_is_no_standstill() -> None:
    dog = watchdog()
    dog.look(0, {"p": Sight(0, 1)})
    dog.look(500, {"p": Sight(0, 1)})
    assert dog.stalled() == set()
    dog.look(501, {"p": Sight(1, 1)})
    assert dog.stalled() == set()


def test_standing_still_is_excused_while_the_database_or_the_broker_is_away() -> None:
    dog = watchdog()
    dog.look(0, {"p": Sight(3, 1)})
    dog.blind()
    dog.look(300, {"p": Sight(3, 1)})
    assert dog.stalled() == set()


def test_a_refused_partition_stalls_at_once_and_ends_nothing() -> None:
    dog = watchdog()
    for now in (0, 1000):
        dog.look(now, {"p": Sight(3, 1, refused=True)})
    assert dog.stalled() == {"p"}
    assert dog.hopeless() == set()


def test_a_partition_that_was_taken_away_is_forgotten() -> None:
    dog = watchdog()
    dog.look(0, {"p": Sight(3, 1)})
    dog.look(50, {})
    dog.look(70, {"p": Sight(3, 1)})
    assert dog.stalled() == set()
