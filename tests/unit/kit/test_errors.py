import pytest

from services.kit.errors import (
    BrokerAway,
    CrossroadsError,
    DatabaseAway,
    SchemaTooOld,
    ServiceMustStop,
    SettingsInvalid,
)


def test_an_error_without_a_message_says_the_first_line_of_its_docstring() -> None:
    assert str(DatabaseAway()).startswith("The database does not answer")
    assert str(SchemaTooOld("Migrate.")) == "Migrate."


@pytest.mark.parametrize("kind", [DatabaseAway, BrokerAway, SchemaTooOld])
def test_every_error_of_the_machinery_is_a_crossroads_error(kind: type[CrossroadsError]) -> None:
    assert issubclass(kind, CrossroadsError)
    assert str(kind())


def test_errors_carry_what_was_wrong() -> None:
    assert SettingsInvalid(["A is not set", "B is not set"]).problems == [
        "A is not set",
        "B is not set",
    ]
    assert ServiceMustStop("too many faults").reason == "too many faults"
    assert "too many faults" in str(ServiceMustStop("too many faults"))
