import hashlib
from dataclasses import fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.kit.cloudevents import (
    MAX_DEAD_LETTER_VALUE,
    MAX_HEADER_BYTES,
    Envelope,
    Record,
    Source,
    Unreadable,
    dead_letter_headers,
    dead_letter_value,
    read_envelope,
    rfc3339,
    write_headers,
)

GOOD = {
    "ce_specversion": b"1.0",
    "ce_id": b"id-1",
    "ce_source": b"/acme",
    "ce_type": b"crossroads.order.create.v1",
    "ce_origintenant": b"acme",
}


def record(
    changes: dict[str, bytes | None] | None = None,
    *,
    without: str | None = None,
    value: bytes | None = b"{}",
) -> Record:
    headers: dict[str, bytes | None] = {**GOOD, **(changes or {})}
    headers.pop(without or "", None)
    return Record(Source("c", "crossroads.orders", 3, 42), b"key", value, tuple(headers.items()), 7)


def refused(made: Record) -> Unreadable:
    with pytest.raises(Unreadable) as caught:
        read_envelope(made)
    return caught.value


calm = settings(deadline=None)
words = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=200)
envelopes = st.builds(
    Envelope,
    **{
        field.name: words if field.name in {"id", "source", "type"} else st.none() | words
        for field in fields(Envelope)
    },
)


@calm
@given(envelopes)
def test_what_is_written_is_read_again(envelope: Envelope) -> None:
    headers = write_headers(envelope)
    read = read_envelope(Record(Source("c", "t", 0, 0), None, None, tuple(headers), 0))
    envelope.correlation_id = envelope.correlation_id or envelope.id
    envelope.content_type = envelope.content_type or "application/json"
    assert read == envelope


@calm
@given(
    st.lists(
        st.tuples(
            st.sampled_from([*GOOD, "ce_correlationid", "content-type", "x"]) | st.text(),
            st.none() | st.binary(max_size=30) | st.sampled_from(list(GOOD.values())),
        )
    )
)
def test_no_headers_whatever_raise_anything_but_unreadable(
    headers: list[tuple[str, bytes | None]],
) -> None:
    made = Record(Source("c", "t", 0, 0), None, None, tuple(headers), 0)
    try:
        reason, legible = "", read_envelope(made).id
    except Unreadable as error:
        reason, legible = error.reason, error.envelope_id or ""
    assert reason in {"headers", "characters"} or (reason == "" and legible)


@pytest.mark.parametrize("name", ["ce_specversion", "ce_id", "ce_source", "ce_type"])
@pytest.mark.parametrize("bad", ["absent", None, b"", b"\xff\xfe", b"x" * (MAX_HEADER_BYTES + 1)])
def test_a_required_header_that_cannot_be_read_is_a_headers_dead_letter(
    name: str, bad: bytes | str | None
) -> None:
    made = record(without=name) if isinstance(bad, str) else record({name: bad})
    error = refused(made)
    assert error.reason == "headers"
    assert name in error.detail
    assert error.origin_tenant == "acme"
    assert error.envelope_id == (None if name == "ce_id" else "id-1")
    assert error.correlation_id == error.envelope_id


@pytest.mark.parametrize("name", ["ce_origintenant", "ce_desttenant", "ce_time", "ce_handling"])
@pytest.mark.parametrize("bad", [None, b"\xed\xa0\x80"])
def test_a_header_of_ours_that_is_null_or_not_utf8_is_a_dead_letter(
    name: str, bad: bytes | None
) -> None:
    error = refused(record({name: bad}))
    assert (error.reason, error.envelope_id) == ("headers", "id-1")


def test_a_nul_in_a_header_is_a_characters_dead_letter_that_keeps_the_rest() -> None:
    error = refused(record({"ce_id": b"a\x00b", "ce_correlationid": b"corr"}))
    assert (error.reason, error.envelope_id) == ("characters", None)
    assert (error.origin_tenant, error.correlation_id) == ("acme", "corr")


def test_another_version_of_the_specification_is_a_dead_letter() -> None:
    assert "ce_specversion" in refused(record({"ce_specversion": b"0.3"})).detail


@pytest.mark.parametrize("bad", [None, b"", b"\xff", b"x" * (MAX_HEADER_BYTES + 1), b"\x00"])
def test_an_illegible_correlation_id_becomes_the_id(bad: bytes | None) -> None:
    assert read_envelope(record({"ce_correlationid": bad})).correlation_id == "id-1"


@pytest.mark.parametrize("name", ["traceparent", "tracestate", "content-type"])
def test_bad_tracing_costs_nobody_a_command(name: str) -> None:
    envelope = read_envelope(record({name: b"\xff"}))
    assert (envelope.id, envelope.traceparent, envelope.content_type) == ("id-1", None, None)


def test_headers_that_are_not_ours_are_not_looked_at() -> None:
    assert read_envelope(record({"x-other": b"\xff", "ce_other": None})).id == "id-1"


def test_of_a_repeated_header_the_last_counts() -> None:
    made = record()
    twice = Record(made.source, None, None, (("ce_id", b"\xff"), *made.headers), 0)
    assert read_envelope(twice).id == "id-1"
    assert refused(Record(made.source, None, None, (*made.headers, ("ce_id", None)), 0)).reason


def test_the_tenant_may_be_left_out_where_the_topic_names_it() -> None:
    assert read_envelope(record(without="ce_origintenant")).origin_tenant is None


def test_a_dead_letter_keeps_the_headers_and_adds_why_and_where_from_at_the_end() -> None:
    made = record({"x-bad": b"\xff", "x-null": None})
    headers = dead_letter_headers(made, "headers", "ce_id is missing", "order-intake", "T")
    assert tuple(headers[: len(made.headers)]) == made.headers
    assert headers[len(made.headers) :] == [
        ("x-dead-letter-reason", b"headers"),
        ("x-dead-letter-detail", b"ce_id is missing"),
        ("x-dead-letter-topic", b"crossroads.orders"),
        ("x-dead-letter-partition", b"3"),
        ("x-dead-letter-offset", b"42"),
        ("x-dead-letter-service", b"order-intake"),
        ("x-dead-letter-time", b"T"),
    ]
    assert dead_letter_value(made) == b"{}"
    assert dead_letter_value(record(value=None)) is None


def test_a_dead_letter_that_would_not_fit_is_cut_and_says_what_it_was() -> None:
    whole = bytes(range(256)) * (4 * 8 * 1024)
    made = record(value=whole)
    told = dict(dead_letter_headers(made, "too-large", "", "order-intake", "T"))
    assert dead_letter_value(made) == whole[:MAX_DEAD_LETTER_VALUE]
    assert told["x-dead-letter-length"] == str(len(whole)).encode()
    assert told["x-dead-letter-sha256"] == hashlib.sha256(whole).hexdigest().encode()


def test_large_headers_leave_less_room_for_the_value() -> None:
    made = record({"x-large": b"x" * 2_000_000}, value=b"y" * MAX_DEAD_LETTER_VALUE)
    cut = dead_letter_value(made)
    assert cut is not None
    assert len(cut) + 2_000_000 < 8 * 1024 * 1024
    assert "x-dead-letter-length" in dict(dead_letter_headers(made, "headers", "", "s", "T"))


def test_times_are_utc_with_milliseconds_and_z_k30() -> None:
    assert rfc3339(1_700_000_000_007) == "2023-11-14T22:13:20.007Z"
    assert rfc3339(-1) == "1970-01-01T00:00:00.000Z"
    assert rfc3339(2**62) == "9999-12-31T23:59:59.999Z"
