from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cli.errors import CommandMisused
from services.cli.moments import moment
from services.cli.output import age, print_json, print_table, safe, shown

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


@given(st.text())
def test_nothing_that_is_shown_can_steer_a_terminal(text: str) -> None:
    made = safe(text)
    assert not any(ord(c) < 32 and c != "\n" for c in made)
    assert not any(0x7F <= ord(c) <= 0x9F or 0x202A <= ord(c) <= 0x202E for c in made)
    made.encode()


def test_escapes_stay_readable() -> None:
    assert safe("\x1b[31mred\x07 \u202e") == "\\x1b[31mred\\x07 \\u202e"
    assert safe("Zürich ≠ 東町\n") == "Zürich ≠ 東町\n"


@pytest.mark.parametrize(
    ("ago", "said"),
    [(0, "0s ago"), (59, "59s ago"), (60, "1m ago"), (7200, "2h ago"), (180_000, "2d ago")],
)
def test_an_age_is_in_the_largest_unit_that_says_something(ago: int, said: str) -> None:
    assert age(NOW - timedelta(seconds=ago), NOW) == said


def test_what_lies_ahead_is_said_to_be_ahead() -> None:
    assert age(NOW + timedelta(seconds=90), NOW) == "1m ahead"


def test_a_time_is_shown_in_utc_and_nothing_for_none() -> None:
    assert shown(NOW).startswith("2026-11-22 12:00:00Z (")
    assert shown(None) == ""
    assert (shown(True), shown(False), shown(0)) == ("yes", "", "0")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", NOW - timedelta(seconds=90)),
        ("2h", NOW - timedelta(hours=2)),
        ("3d", NOW - timedelta(days=3)),
        ("1w", NOW - timedelta(weeks=1)),
        ("2026-11-21", datetime(2026, 11, 21, tzinfo=UTC)),
        ("2026-11-21T10:00:00+02:00", datetime(2026, 11, 21, 8, tzinfo=UTC)),
    ],
)
def test_a_time_is_an_age_or_iso(text: str, expected: datetime) -> None:
    assert moment(text, NOW) == expected


@pytest.mark.parametrize("text", ["", "h", "-3d", "3 d", "tomorrow", "999999w"])
def test_what_is_no_time_is_misuse(text: str) -> None:
    with pytest.raises(CommandMisused, match="is no time"):
        moment(text, NOW)


def test_json_is_one_line_with_times_in_utc(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"at": NOW, "text": "\x1b"})
    assert capsys.readouterr().out == '{"at":"2026-11-22T12:00:00Z","text":"\\u001b"}\n'


def test_a_table_shows_markup_as_text_and_is_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("key", "value"), [("[red]x[/red]", "y" * 150), ("\x1b[2J", None)])
    printed = capsys.readouterr().out
    assert "[red]x[/red]" in printed
    assert "y" * 150 in printed
    assert "\x1b" not in printed
