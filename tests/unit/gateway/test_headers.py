import uuid

import pytest
from starlette.types import Scope

from services.gateway.headers import correlation_id, read_headers

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def scope(**headers: bytes | str) -> Scope:
    raw = [
        (
            name.replace("_", "-").encode(),
            value if isinstance(value, bytes) else value.encode(),
        )
        for name, value in headers.items()
    ]
    return {"type": "http", "headers": raw}


def test_a_tenant_may_be_named_in_utf_8() -> None:
    found = read_headers(scope(x_tenant_name="Müller Öl", x_dest_tenant_name=" blue "))
    assert (found.tenant, found.partner) == ("Müller Öl", "blue")
    assert found.errors == ()


def test_an_empty_header_is_an_absent_one() -> None:
    found = read_headers(scope(x_tenant_name="", x_origin_system_name="  "))
    assert found.tenant is None
    assert found.system is None


@pytest.mark.parametrize(
    ("headers", "loc", "kind"),
    [
        ({"idempotency_key": ""}, "idempotency-key", "string_too_short"),
        ({"idempotency_key": "x" * 2049}, "idempotency-key", "string_too_long"),
        ({"x_dest_tenant_name": b"\xff"}, "x-dest-tenant-name", "string_unicode"),
        ({"x_origin_system_name": "x" * 3000}, "x-origin-system-name", "string_too_long"),
    ],
)
def test_a_header_no_record_could_carry_is_an_error_of_its_own(
    headers: dict[str, bytes | str], loc: str, kind: str
) -> None:
    (error,) = read_headers(scope(**headers)).errors
    assert (error["loc"], error["type"]) == (["header", loc], kind)


def test_trace_context_is_passed_on_only_where_it_is_one() -> None:
    found = read_headers(scope(traceparent=TRACE, tracestate="a=b"))
    assert (found.traceparent, found.tracestate) == (TRACE, "a=b")
    found = read_headers(scope(traceparent="nonsense", tracestate="a=b"))
    assert (found.traceparent, found.tracestate) == (None, None)


def test_a_correlation_id_is_taken_over_or_made() -> None:
    assert correlation_id(scope(x_correlation_id="c-1")) == "c-1"
    uuid.UUID(correlation_id(scope()))
    uuid.UUID(correlation_id(scope(x_correlation_id=b"\xff\xfe")))
    uuid.UUID(correlation_id(scope(x_correlation_id="x" * 4000)))


def test_the_first_of_a_repeated_header_counts() -> None:
    found = read_headers(
        {"type": "http", "headers": [(b"x-tenant-name", b"one"), (b"x-tenant-name", b"two")]}
    )
    assert found.tenant == "one"
