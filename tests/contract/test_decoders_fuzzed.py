"""Every decoder, fed with anything: a value or the documented error, never anything else (K31).

What one stranger sends must cost nobody else anything: an exception nobody foresaw in a decoder is
a partition that stands still, or a 500.
"""

import gzip
import struct
from collections.abc import Callable
from typing import Any, TypeVar, get_args

import cramjam
import orjson
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.types import Message

from schemas.operations import OPERATIONS
from services.commands.decode import Arrival, Dead, decode
from services.gateway import headers as gateway_headers
from services.gateway.auth import _form
from services.gateway.bodies import Patience
from services.gateway.caller import basic_credentials
from services.gateway.dispositions import file_name, parsed
from services.gateway.forms import Upload, read_form
from services.gateway.prefer import MAX_WAIT_SECONDS
from services.gateway.prefer import parse as prefer
from services.gateway.problems import Problem
from services.kit import decompression
from services.kit.cloudevents import (
    Envelope,
    Record,
    Source,
    Unreadable,
    UnreadableReason,
    read_envelope,
)
from services.kit.decompression import SwollenError, gunzip, unsnap
from services.kit.jsonlimits import MAX_BYTES, parse

T = TypeVar("T")
E = TypeVar("E", bound=Exception)

calm = settings(deadline=None, max_examples=150)
REASONS = set(get_args(UnreadableReason))
# What the wire holds is bytes; some of it nearly right.
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
NEARLY_JSON = st.one_of(
    JSON.filter(lambda value: _dumps(value) is not None).map(lambda value: _dumps(value) or b""),
    st.sampled_from(
        [b'"\\u0000"', b'{"a":"\\ud800"}', b"NaN", b"[1e999]", b"[" * 40 + b"]" * 40, b'{"a":1,}',
         b'"\x00"', b'{"a":-Infinity}', b"\xff", b'"\\ud83d\\ude00"', b"[" * 5000, b"1" * 5000]
    ),
    st.binary(max_size=200),
)  # fmt: skip
HEADER_NAMES = st.sampled_from(
    ["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "ce_origintenant",
     "ce_desttenant", "ce_originsystem", "ce_handling", "ce_correlationid", "traceparent",
     "content-type", "x-other"]
) | st.text(max_size=8)  # fmt: skip
TYPES = [str(each.type).encode() for each in OPERATIONS if each.type] + [b"crossroads.nothing.v1"]
HEADER_VALUES = (
    st.none()
    | st.binary(max_size=20)
    | st.text(max_size=20).map(lambda text: text.encode("utf-8", "replace"))
    | st.sampled_from([b"1.0", b"acme", b"strict", b"x" * 3000, b"\xff", b"a\x00b", *TYPES])
)
GOOD = [("ce_specversion", b"1.0"), ("ce_id", b"1"), ("ce_source", b"/x")]
TOPICS = st.sampled_from(
    ["crossroads.orders", "crossroads.orders.acme", "crossroads.progress.acme",
     "crossroads.changes", "crossroads.reference", "crossroads.sync.acme", "other", ""]
)  # fmt: skip


def tried(call: Callable[[], T], *errors: type[E]) -> tuple[T | None, E | None]:
    """What it gave, or which of these errors it raised; others are raised."""
    try:
        return call(), None
    except errors as error:
        return None, error


def _dumps(value: Any) -> bytes | None:
    try:
        return orjson.dumps(value)
    except TypeError:
        return None


@st.composite
def records(draw: st.DrawFn) -> Record:
    """A record of which some part may be right."""
    found: list[tuple[str, bytes | None]] = []
    if draw(st.booleans()):
        found += [*GOOD, ("ce_type", draw(st.sampled_from(TYPES))), ("ce_origintenant", b"acme")]
    found += draw(st.lists(st.tuples(HEADER_NAMES, HEADER_VALUES), max_size=6))
    return Record(
        source=Source("cluster", draw(TOPICS), 0, draw(st.integers(0, 2**63 - 1))),
        key=draw(st.none() | st.binary(max_size=10)),
        value=draw(st.none() | NEARLY_JSON),
        headers=tuple(found),
        timestamp_ms=draw(st.integers(-(2**63), 2**63 - 1)),
    )


@calm
@given(records())
def test_a_record_is_a_command_or_a_dead_letter(record: Record) -> None:
    """K31 and the dead letters of the contract: every reason is one of the documented words."""
    found = decode(record)
    if isinstance(found, Dead):
        assert found.reason in REASONS
        assert found.detail.isprintable()
    else:
        assert isinstance(found, Arrival)
        assert found.command_id
        assert found.reading.value is None or not found.reading.errors


@calm
@given(records())
def test_headers_are_an_envelope_or_unreadable(record: Record) -> None:
    found, error = tried(lambda: read_envelope(record), Unreadable)
    if error is not None:
        assert error.reason in {"headers", "characters"}
    else:
        assert isinstance(found, Envelope)
        assert found.id
        assert found.correlation_id


@calm
@given(st.none() | NEARLY_JSON)
@example(b'{"a":' * 100 + b"1" + b"}" * 100)
@example(b" " * (MAX_BYTES + 1))
def test_json_is_a_value_or_unreadable(value: bytes | None) -> None:
    found, error = tried(lambda: parse(value), Unreadable)
    if error is not None:
        assert error.reason in REASONS
    else:
        assert value is not None
        assert found == orjson.loads(value)
        # Whatever was let in can be told again, and stored.
        assert b"\\u0000" not in orjson.dumps(found).replace(b"\\\\", b"")


BOUNDARY = b"bo"
PARTS = st.lists(
    st.one_of(
        st.binary(max_size=30),
        st.sampled_from(
            [b"--bo\r\n", b"--bo--\r\n", b"\r\n", b"\r\n\r\n", b"--bo", b"x",
             b'Content-Disposition: form-data; name="file"; filename="a.pdf"\r\n\r\n',
             b"Content-Disposition: form-data; name=note\r\n\r\n",
             b"Content-Disposition: form-data; name=note; filename*=utf-7''+2AA-\r\n\r\n",
             b"Content-Disposition: form-data; name=file; filename*=utf-7''+2AA-\r\n\r\n",
             b"Content-Disposition: form-data; name=\xff\r\n\r\n", b"Content-Disposition: \r\n"]
        ),
    ),
    max_size=8,
)  # fmt: skip


def request(body: bytes, content_type: bytes) -> Request:
    pieces = [body]

    async def receive() -> Message:
        piece = pieces.pop() if pieces else b""
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    headers = [(b"content-type", content_type)]
    return Request({"type": "http", "method": "POST", "headers": headers}, receive)


@calm
@given(PARTS, st.sampled_from([b"multipart/form-data; boundary=bo"]) | st.binary(max_size=60))
async def test_a_form_is_parts_or_a_problem(parts: list[bytes], content_type: bytes) -> None:
    """X09, K29: 413 or 422; and what is made of it is a command's value."""
    with Upload() as upload:
        try:
            form = await read_form(request(b"".join(parts), content_type), Patience(), upload)
        except Problem as problem:
            status = problem.status
        else:
            status = 200
    assert status in {200, 413, 422}
    if status == 200:
        assert orjson.dumps([form.texts, form.file_name, form.ignored])


DISPOSITIONS = st.one_of(
    st.binary(max_size=80),
    st.builds(
        lambda charset, value: b"form-data; name=file; filename*=" + charset + b"''" + value,
        st.sampled_from(
            [b"utf-8", b"utf-7", b"utf-16", b"hex", b"rot13", b"idna", b"punycode", b"undefined",
             b"unicode-escape", b"raw-unicode-escape", b"base64", b"cp037", b"nothing"]
        ),
        st.binary(max_size=12) | st.sampled_from([b"+2AA-", b"%5Cud800", b"\\ud800", b"%00"]),
    ),
    st.builds(
        lambda charset, way, value: (
            b'form-data; name=file; filename="=?' + charset + b"?" + way + b"?" + value + b'?="'
        ),
        st.sampled_from([b"utf-8", b"utf-7", b"raw-unicode-escape", b"hex", b"x", b""]),
        st.sampled_from([b"B", b"Q", b"Z"]),
        st.sampled_from([b"QQ==", b"+2AA-", b"KzJBQS0=", b"=5Cud800", b"XHVkODAw", b"%"])
        | st.binary(max_size=8),
    ),
)  # fmt: skip


@calm
@given(DISPOSITIONS)
@example(b"form-data; name=file; filename*=utf-7''+2AA-")
@example(b'form-data; name=file; filename="=?raw-unicode-escape?B?XHVkODAw?="')
def test_a_disposition_gives_a_name_that_can_be_told(value: bytes) -> None:
    """X09: as UTF-8 and as JSON, whatever charset it claimed."""
    kind, parameters = parsed(value)
    name = file_name(parameters)
    assert orjson.dumps([kind, dict(parameters), name])


REQUEST_HEADERS = st.tuples(
    st.sampled_from(
        [b"prefer", b"x-tenant-name", b"x-dest-tenant-name", b"idempotency-key",
         b"x-correlation-id", b"traceparent", b"tracestate", b"x-origin-system-name"]
    ),
    st.binary(max_size=60)
    | st.sampled_from([b"wait=7", b"handling=strict", b"wait=\xb2", b"k" * 3000]),
)  # fmt: skip


@calm
@given(st.lists(REQUEST_HEADERS))
def test_request_headers_never_raise(pairs: list[tuple[bytes, bytes]]) -> None:
    """K28, K31: what no record could carry is an error, and nothing of it is passed on."""
    scope = {"type": "http", "headers": pairs}
    found = gateway_headers.read_headers(scope)
    assert 0 <= found.preferences.wait <= MAX_WAIT_SECONDS
    if not found.errors:
        for text in (found.tenant, found.partner, found.system, found.idempotency_key):
            assert text is None or ("\x00" not in text and len(text.encode()) <= 2048)
    assert gateway_headers.correlation_id(scope).isascii()


@calm
@given(st.lists(st.text()))
def test_preferences_never_raise(values: list[str]) -> None:
    assert 0 <= prefer(values).wait <= MAX_WAIT_SECONDS


@calm
@given(st.binary(max_size=200), st.text())
@example(b"", "\x80")
@example(b"", "/w==")
def test_the_form_of_a_token_and_basic_credentials_never_raise(body: bytes, header: str) -> None:
    """X12."""
    form, problem = tried(lambda: _form(body), Problem)
    assert problem is None or problem.status == 422
    assert "\x00" not in "".join((form or {}).values())
    found = basic_credentials(f"Basic {header}")
    assert found is None or "\x00" not in "".join(found)


XERIAL = b"\x82SNAPPY\x00" + struct.pack("!ii", 1, 1)
UNPACK: list[tuple[str, Callable[[bytes], bytes], bytes]] = [
    ("gzip", gunzip, gzip.compress(b"order" * 50)),
    ("snappy", unsnap, bytes(cramjam.snappy.compress_raw(b"order" * 50))),
    ("xerial", unsnap, XERIAL + struct.pack("!i", 5) + b"order"),
    (
        "lz4",
        lambda data: decompression._expand(cramjam.lz4.decompress_into, data),
        bytes(cramjam.lz4.compress(b"order" * 50)),
    ),
    (
        "zstd",
        lambda data: decompression._expand(cramjam.zstd.decompress_into, data),
        bytes(cramjam.zstd.compress(b"order" * 50)),
    ),
]


@pytest.mark.parametrize(("codec", "unpack", "sound"), UNPACK, ids=[each[0] for each in UNPACK])
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_what_was_packed_comes_out_or_is_malformed(
    little_room: None, codec: str, unpack: Any, sound: bytes, data: st.DataObject
) -> None:
    """Guarantee 5: whatever it raises is taken for a batch that cannot be unpacked."""
    damaged = bytearray(sound)
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at] = data.draw(st.integers(0, 255))
    cut = bytes(damaged[: data.draw(st.integers(0, len(damaged)))])
    given_ = data.draw(st.sampled_from([cut, sound + cut])) if data.draw(st.booleans()) else cut
    assume(len(given_) < 2000)
    out, error = tried(lambda: unpack(given_), ValueError, struct.error)
    assert isinstance(out, bytes) or isinstance(error, SwollenError | struct.error)


@pytest.fixture(scope="module")
def little_room() -> Any:
    """Little room, so that what claims to be huge costs nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decompression, "MAX_BATCH_BYTES", 1024 * 1024)
        yield
