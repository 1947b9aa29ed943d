"""docs/numbers.md: each number with the modules that do it and the tests that hold it."""

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "numbers.md"
_ROW = re.compile(r"\| ([RKX]\d{2,3}) \| (.+) \| (.+) \| (.+) \|")
_RANGE = re.compile(r"(?<![A-Za-z0-9])([RKX])(\d{2,3})\s*[-–]\s*[RKX]?(\d{2,3})(?!\d)")  # noqa: RUF001
# Names of tests have them in lower case.
_ONE = re.compile(r"(?<![A-Za-z0-9])([RKXrkx])(\d{2,3})(?![0-9A-Za-z])")
# Numbers the decisions took up into others.
_GONE = {f"K{n:02d}" for n in (13, 15, 17, 18, 19, 21, 22, 23, 24)}


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the page."""

    number: str
    what: str
    modules: tuple[str, ...]
    tests: tuple[str, ...]


def rows() -> Iterator[Row]:
    for line in PAGE.read_text().splitlines():
        if match := _ROW.fullmatch(line):
            number, what, modules, tests = match.groups()
            yield Row(number, what, _names(modules), _names(tests))


def _names(cell: str) -> tuple[str, ...]:
    return tuple(name.strip("` ") for name in cell.split(","))


ROWS = list(rows())


@functools.cache
def cited(path: Path) -> frozenset[str]:
    """The numbers that a file cites; ranges whole."""
    text = path.read_text()
    numbers = {letter.upper() + digits for letter, digits in _ONE.findall(text)}
    for letter, first, last in _RANGE.findall(text):
        numbers |= {f"{letter}{n:0{len(first)}d}" for n in range(int(first), int(last) + 1)}
    return frozenset(numbers)


def file_of(module: str) -> Path:
    parts = module.split(".")
    room = ROOT if parts[0] == "schemas" else ROOT / "services"
    return room.joinpath(*parts).with_suffix(".py")


def test_the_page_has_every_number_once_and_in_order() -> None:
    numbers = [row.number for row in ROWS]
    wanted = [f"R{n:03d}" for n in range(1, 99)]
    wanted += [f"K{n:02d}" for n in range(1, 46) if f"K{n:02d}" not in _GONE]
    wanted += [f"X{n:02d}" for n in range(1, 13)]
    assert numbers == wanted
    assert len({row.what for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.number)
def test_a_number_is_done_where_it_says_and_held_by_tests_that_cite_it(row: Row) -> None:
    for module in row.modules:
        assert file_of(module).is_file(), f"no module {module}"
    for name in row.tests:
        path = ROOT / "tests" / name
        assert path.is_file(), f"no test {name}"
        assert row.number in cited(path), f"{name} does not cite it"
    assert row.modules
    assert row.tests


def test_code_and_tests_cite_no_number_there_is_not() -> None:
    known = {row.number for row in ROWS} | _GONE
    # Two digits after a K or an X may be anything else, three after an R are a number.
    for room in ("services", "schemas", "tests"):
        for path in sorted((ROOT / room).rglob("*.py")):
            strange = {each for each in cited(path) if len(each) == 4 and each[0] == "R"} - known
            assert not strange, f"{path.relative_to(ROOT)}: {strange}"
