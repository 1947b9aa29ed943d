from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.cli.documents import flatten, same, side_by_side

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=12,
)


def test_leaves_are_named_by_their_path() -> None:
    document = {"po": "7", "drops": [{"site": {"source_id": "a"}}, {}], "load": []}
    assert list(flatten(document)) == [
        ("po", "7"),
        ("drops[0].site.source_id", "a"),
        ("drops[1]", {}),
        ("load", []),
    ]


def test_members_that_differ_are_marked_and_others_are_not() -> None:
    lines = side_by_side(
        {
            "origin": {"po": "7", "site": "o-1", "note": None},
            "master": {"po": "7", "site": "goid", "note": None},
            "destination": {"po": "7", "site": "d-1"},
        }
    )
    assert {line["path"]: line["differs"] for line in lines} == {
        "po": False,
        "site": True,
        "note": True,
    }
    assert lines[1] == {
        "path": "site",
        "differs": True,
        "origin": "o-1",
        "master": "goid",
        "destination": "d-1",
    }
    assert "destination" not in lines[2]


def test_a_document_that_is_not_there_yet_differs_from_nothing() -> None:
    lines = side_by_side({"origin": {"po": "7"}, "master": None, "destination": None})
    assert lines == [{"path": "po", "differs": False, "origin": "7"}]


def test_true_is_not_one() -> None:
    assert not same(True, 1)
    assert same(1, 1.0)


@given(JSON)
def test_a_document_never_differs_from_itself(value: Any) -> None:
    document = {"value": value}
    lines = side_by_side({"origin": document, "master": document, "destination": document})
    assert not any(line["differs"] for line in lines)
