"""The catalogue of codes is one, and says what the contract says."""

import pytest

from schemas.codes import Code, code_catalogue, http_status_of, record_code


def test_the_file_and_the_enum_name_the_same_codes_in_the_same_order() -> None:
    assert list(code_catalogue()) == [code.value for code in Code]
    assert all(entry.meaning for entry in code_catalogue().values())


def test_what_waits_answers_200() -> None:
    waiting = {e.code.value for e in code_catalogue().values() if e.outcome == "waiting"}
    assert waiting == {
        "mapping.gap",
        "lane.order_unknown",
        "lane.behind",
        "request.manual_acceptance",
        "delivery.parked",
        "reference.parent_missing",
    }
    assert {http_status_of(code) for code in waiting} == {200}


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (Code.INVALID, 422),
        (Code.ORDER_ALREADY_EXISTS, 422),
        (Code.ORDER_NOT_FOUND, 404),
        (Code.NO_SUCH_PAIR, 403),
        (Code.CHANGE_STALE, 409),
        (Code.RECORD_TOO_LARGE, 413),
        (Code.SYSTEM_ERROR, 500),
    ],
)
def test_a_code_has_its_http_status_k29(code: str, status: int) -> None:
    assert http_status_of(code) == status


def test_a_dead_letters_reason_has_its_code() -> None:
    assert record_code("not-json") == "record.not-json"
    assert record_code("unforeseen") == "system.error"


def test_no_meaning_invites_a_client_to_try_again_k29() -> None:
    words = ("retry", "timed out", "temporarily unavailable", "internal server", "too many")
    for entry in code_catalogue().values():
        assert not any(word in entry.meaning.lower() for word in words)
