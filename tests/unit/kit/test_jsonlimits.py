import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.kit.cloudevents import Unreadable
from services.kit.jsonlimits import MAX_BYTES, MAX_DEPTH, parse

calm = settings(deadline=None)
text = st.text(st.characters(codec="utf-8", exclude_characters="\x00"))
awkward = st.sampled_from(
    ['[{"', '\\"]', "\\", "\\\\u0000", '""', "}" * 40, "{" * 40, "\U0001f600"]
)
leaves = (
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**63), max_value=2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text
    | awkward
)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner) | st.dictionaries(text | awkward, inner),
    max_leaves=60,
)


def depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


def refused(value: bytes | None) -> Unreadable:
    with pytest.raises(Unreadable) as caught:
        parse(value)
    return caught.value


@calm
@given(values, st.booleans())
def test_every_value_within_the_limits_comes_back_as_it_was(value: Any, escaped: bool) -> None:
    raw = json.dumps(value, ensure_ascii=escaped).encode()
    if depth(value) > MAX_DEPTH:
        assert refused(raw).reason == "depth"
    else:
        assert parse(raw) == value


@calm
@given(st.integers(min_value=0, max_value=80), st.lists(awkward, max_size=40), st.booleans())
def test_depth_is_counted_by_structure_and_not_by_brackets_in_strings(
    levels: int, strings: list[str], in_objects: bool
) -> None:
    value: Any = strings
    for _ in range(levels):
        value = {"}]": value, "a": strings} if in_objects else [strings, value]
    raw = orjson.dumps(value)
    if levels + 1 > MAX_DEPTH:
        assert refused(raw).reason == "depth"
    else:
        assert parse(raw) == value


PIECES = rb"""" \ \u0000 \ud800 \udc00 \u [ ] { } : , 1 - e9 NaN Infinity null true a""".split()
pieces = st.sampled_from([*PIECES, b" ", b"\x00", b"\xff", b"\xed\xa0\x80"])


def outcome(raw: bytes) -> Any:
    try:
        return parse(raw)
    except Unreadable as error:
        return error


@calm
@given(st.binary() | st.lists(pieces).map(b"".join) | values.map(orjson.dumps))
def test_nothing_whatever_raises_anything_but_unreadable(raw: bytes) -> None:
    came = outcome(raw)
    if isinstance(came, Unreadable):
        assert came.detail.encode()
        assert "\x00" not in came.detail


@calm
@given(st.lists(pieces).map(b"".join))
def test_what_is_taken_can_be_stored_as_text(raw: bytes) -> None:
    came = outcome(raw)
    assert isinstance(came, Unreadable) or "\x00" not in str(came).encode().decode()


@pytest.mark.parametrize(
    ("raw", "reason", "path"),
    [
        (None, "not-json", ()),
        (b"", "not-json", ()),
        (b"{", "not-json", ()),
        (b"{'a': 1}", "not-json", ()),
        (b"\xef\xbb\xbf{}", "not-json", ()),
        (b"{}{}", "not-json", ()),
        (b'{"a": 01}', "not-json", ()),
        (b'{"a": "\xff"}', "not-utf8", ()),
        (b'{"a": "\xed\xa0\x80"}', "not-utf8", ()),
        (b'{"drops": [{"note": "a\\u0000b"}]}', "characters", ("drops", 0, "note")),
        (b'{"drops": [{"note": "a\x00b"}]}', "characters", ("drops", 0, "note")),
        (
            b'{"a": 1, "drops": [1, {"x": {}, "note": "\\ud83d"}]}',
            "characters",
            ("drops", 1, "note"),
        ),
        (b'{"a": "\\udc00"}', "characters", ("a",)),
        (b'{"a": "\\ud800\\u0041"}', "characters", ("a",)),
        (b'{"a": "\\ud800x\\udc00"}', "characters", ("a",)),
        (b'{"a": {"b\\u0000": 1}}', "characters", ("a",)),
        (b'{"a": [1, NaN]}', "numbers", ("a", 1)),
        (b'{"a": {"b": -Infinity}}', "numbers", ("a", "b")),
        (b'{"volume": 1e999}', "numbers", ("volume",)),
        (b'{"volume": 1' + b"0" * 400 + b"}", "numbers", ("volume",)),
        (b"[" * 5000, "depth", (0,) * MAX_DEPTH),
        (b'{"a":' * 5000, "depth", ("a",) * MAX_DEPTH),
        (b"[" * 33 + b"]" * 33, "depth", (0,) * MAX_DEPTH),
        (b'"' + b"x" * (MAX_BYTES - 1) + b'"', "too-large", ()),
    ],
)
def test_what_is_beyond_a_limit_says_which_and_where_k31(
    raw: bytes | None, reason: str, path: tuple[str | int, ...]
) -> None:
    error = refused(raw)
    assert (error.reason, error.path) == (reason, path)
    assert ".".join(map(str, path)) in error.detail


def test_k28_every_field_with_a_forbidden_character_is_named() -> None:
    error = refused(
        b'{"a": "\\u0000", "b": {"c\\u0000": 1, "d\\u0000": 1}, "e": [1, "\\ud800"], "f": NaN}'
    )
    assert (error.reason, error.path) == ("characters", ("a",))
    assert [path for path, _ in error.in_body] == [("body", "a"), ("body", "b"), ("body", "e", 1)]
    assert [detail.split()[0] for _, detail in error.in_body] == ["a", "b", "e.1"]


def test_of_very_many_faults_a_thousand_are_named() -> None:
    error = refused(b"[" + b",".join([b'"\\u0000"'] * 5000) + b"]")
    assert len(error.in_body) == 1000


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b'{"a": "\\ud83d\\ude00"}', {"a": "\U0001f600"}),
        (b'{"a": "\\\\u0000"}', {"a": "\\u0000"}),
        (b'{"a": "\\\\\\u0041"}', {"a": "\\A"}),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b"[1]", [1]),
        (b"null", None),
        (b'"' + b"x" * (MAX_BYTES - 2) + b'"', "x" * (MAX_BYTES - 2)),
        (b"123456789012345678901234567890", 1.2345678901234568e29),
    ],
)
def test_what_only_looks_bad_is_taken(raw: bytes, value: Any) -> None:
    assert parse(raw) == value


def test_the_deepest_allowed_value_is_taken() -> None:
    assert depth(parse(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)) == MAX_DEPTH


def test_a_field_name_is_shown_shortened_and_legible() -> None:
    key = "\\u001f" + "k" * 500
    error = refused(f'{{"{key}": NaN}}'.encode())
    assert error.path == ("\ufffd" + "k" * 63,)
