"""Texts and shapes of refusals (K28, K29, K36)."""

import re
from pathlib import Path

import pytest

from schemas.codes import Code, code_catalogue
from services.domain import refusals

FORBIDDEN = ("retry", "timed out", "temporarily unavailable", "internal server error",
             "too many requests")  # fmt: skip
OTHERS = (refusals.INACTIVE, refusals.NOT_FOUND_ID)


@pytest.mark.parametrize("text", [*refusals.TEXTS.values(), *OTHERS])
def test_k29_no_text_makes_a_client_send_the_same_again(text: str) -> None:
    assert not any(word in text.lower() for word in FORBIDDEN)


def test_k29_no_meaning_in_the_catalogue_does_either() -> None:
    for entry in code_catalogue().values():
        if 400 <= entry.http_status < 500:
            assert not any(word in entry.meaning.lower() for word in FORBIDDEN)


def test_every_refusal_of_an_order_has_a_text() -> None:
    refused = {code for code, entry in code_catalogue().items() if entry.outcome == "refused"}
    assert refused == set(refusals.TEXTS)


@pytest.mark.parametrize(
    ("code", "members"),
    [
        (Code.ORDER_ALREADY_EXISTS, {"detail", "code", "log"}),
        (Code.NO_SUCH_PAIR, {"detail", "code"}),
        (Code.CHANGE_STALE, {"detail", "code"}),
        (Code.ORDER_NOT_FOUND, {"detail"}),
    ],
)
def test_k29_the_body_has_the_members_of_its_status(code: Code, members: set[str]) -> None:
    assert set(refusals.refused(code, "x").body) == members


def test_a_number_with_braces_is_repeated_as_it_is() -> None:
    text = refusals.text(Code.ORDER_ALREADY_EXISTS, number="{0}{x}'")
    assert "An order with number '{0}{x}'' already" in text


def test_a_text_needs_every_member_it_names() -> None:
    for code, text in refusals.TEXTS.items():
        if re.search(r"\{\w+\}", text):
            with pytest.raises(KeyError):
                refusals.text(code)


def test_the_page_of_codes_tells_every_code_with_its_status_and_text() -> None:
    page = (Path(__file__).parents[3] / "docs" / "refusals.md").read_text("utf-8")
    for code, entry in code_catalogue().items():
        line = next(line for line in page.splitlines() if line.startswith(f"| `{code}` |"))
        text = refusals.TEXTS.get(entry.code, "-")
        assert line == (
            f"| `{code}` | {entry.outcome} | {entry.http_status} | {entry.meaning} | {text} |"
        )
