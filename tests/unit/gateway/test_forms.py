"""Forms with a picture: what is understood, what is refused, and what it costs (X09)."""

import asyncio
import hashlib
import tracemalloc
from collections.abc import Awaitable, Callable, Iterable

import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.types import Message

from services.domain.pictures import MAX_BYTES
from services.gateway.bodies import Patience, take_body
from services.gateway.forms import Form, Upload, read_form, read_plain
from services.gateway.problems import Problem

PDF = b"%PDF-1.7 \r\n--b\r\n-not the end\r\n"
BOUNDARY = "8f5e0c2a-11"
OF_BOUNDARY = f'multipart/form-data; boundary="{BOUNDARY}"'


def part(disposition: str, content: bytes, *headers: str) -> bytes:
    lines = "".join(f"{header}\r\n" for header in headers)
    head = f"--{BOUNDARY}\r\n{lines}Content-Disposition: form-data; {disposition}\r\n\r\n"
    return head.encode() + content + b"\r\n"


def form(*parts: bytes, end: str = f"--{BOUNDARY}--\r\n") -> bytes:
    return b"".join(parts) + end.encode()


def request(
    pieces: Iterable[bytes],
    *,
    content_type: str = OF_BOUNDARY,
    length: int | None = None,
    hold: Callable[[], Awaitable[None]] | None = None,
) -> Request:
    """A request whose body comes in these pieces; `hold` is waited for before its end."""
    left = iter(pieces)

    async def receive() -> Message:
        piece = next(left, None)
        if piece is None:
            if hold is not None:
                await hold()
            return {"type": "http.request", "body": b"", "more_body": False}
        return {"type": "http.request", "body": piece, "more_body": True}

    headers = [(b"content-type", content_type.encode())]
    if length is not None:
        headers.append((b"content-length", str(length).encode()))
    return Request({"type": "http", "method": "POST", "headers": headers}, receive)


async def read(
    body: bytes, *, piece: int = 65536, content_type: str = OF_BOUNDARY
) -> tuple[Form, bytes, Upload]:
    pieces = [body[start : start + piece] for start in range(0, len(body), piece)]
    with Upload() as upload:
        found = await read_form(request(pieces, content_type=content_type), Patience(), upload)
        content = b"".join([each async for each in upload.pieces()])
    return found, content, upload


@pytest.mark.parametrize("piece", [1, 2, 7, 64, 65536])
async def test_a_form_is_read_in_whatever_pieces_it_comes(piece: int) -> None:
    body = form(
        part("name=order_number", "BH-Ö".encode(), "Content-Type: text/plain; charset=utf-8"),
        part('name="note"', b""),
        part("name=file; filename=bol.pdf; filename*=utf-8''bol.pdf", PDF),
    )
    found, content, upload = await read(body, piece=piece)
    assert found.texts == {"order_number": "BH-Ö", "note": ""}
    assert (found.has_picture, found.file_name, content) == (True, "bol.pdf", PDF)
    assert (upload.size, upload.sha256) == (len(PDF), hashlib.sha256(PDF).hexdigest())
    assert upload.head == PDF[:16]


async def test_a_file_without_a_name_is_still_the_picture() -> None:
    found, content, _ = await read(form(part('name="file"', PDF)))
    assert (found.has_picture, found.file_name, content) == (True, None, PDF)


async def test_another_file_is_ignored_and_named() -> None:
    found, content, _ = await read(
        form(part("name=logo; filename=l.png", b"x" * 300_000), part("name=file", PDF))
    )
    assert (found.ignored, found.texts, content) == (["logo"], {}, PDF)


async def test_of_a_text_given_twice_the_last_counts() -> None:
    found, _, _ = await read(form(part("name=note", b"one"), part("name=note", b"two")))
    assert found.texts == {"note": "two"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no form at all",
        b"--other\r\n\r\n",
        form(part("name=note", b"one"), end=""),
        form(part("name=note", b"one"), end=f"--{BOUNDARY}-"),
        form(part("filename=bol.pdf", PDF)),
        form(part('name=""', PDF)),
        f"--{BOUNDARY}\r\n\r\nno headers\r\n--{BOUNDARY}--\r\n".encode(),
        f"--{BOUNDARY}\r\nContent-Disposition: attachment; name=file\r\n\r\nx\r\n".encode(),
        f"--{BOUNDARY}\r\nno header\r\n\r\nx\r\n--{BOUNDARY}--\r\n".encode(),
        f"--{BOUNDARY}\r\n: x\r\n\r\nx\r\n--{BOUNDARY}--\r\n".encode(),
        form(part("name=note", b"", *[f"X-{n}: y" for n in range(20)])),
        form(part("name=note", b"", "X-Long: " + "y" * 9000)),
        form(*(part(f"name=n{n}", b"") for n in range(101))),
    ],
)
async def test_a_broken_form_is_422(body: bytes) -> None:
    with pytest.raises(Problem) as raised:
        await read(body)
    assert raised.value.status == 422
    [entry] = raised.value.detail  # type: ignore[str-unpack]
    assert (entry["loc"], entry["type"]) == (["body"], "multipart_invalid")  # type: ignore[index]


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=" + "b" * 300,
        "multipart/form-data; boundary=another",
    ],
)
async def test_a_boundary_that_is_not_there_is_422(content_type: str) -> None:
    with pytest.raises(Problem) as raised:
        await read(form(part("name=note", b"")), content_type=content_type)
    assert raised.value.status == 422


async def test_a_text_that_is_not_utf_8_and_a_second_picture_are_named() -> None:
    for body, where in (
        (form(part("name=note", b"\xff")), ["body", "note"]),
        (form(part("name=file", PDF), part("name=file", PDF)), ["body", "file"]),
    ):
        with pytest.raises(Problem) as raised:
            await read(body)
        assert (raised.value.status, raised.value.detail[0]["loc"]) == (422, where)  # type: ignore[index]


async def test_a_picture_has_10_mib_and_not_one_byte_more() -> None:
    exactly = b"%PDF-" + b"x" * (MAX_BYTES - 5)
    _, content, upload = await read(form(part("name=file", exactly)))
    assert (len(content), upload.size) == (MAX_BYTES, MAX_BYTES)
    for body in (form(part("name=file", exactly + b"x")), form(part("name=file", exactly * 2))):
        with pytest.raises(Problem) as raised:
            await read(body)
        assert raised.value.status == 413
        assert "10485760" in str(raised.value.detail)


async def test_what_is_announced_too_large_is_413_before_it_is_read() -> None:
    for read_it in (read_form, read_plain):
        never = request(iter(lambda: pytest.fail("it was read"), None), length=MAX_BYTES * 3)
        with Upload() as upload, pytest.raises(Problem) as raised:
            await read_it(never, Patience(), upload)
        assert raised.value.status == 413


async def test_texts_have_a_limit_of_their_own() -> None:
    with pytest.raises(Problem) as raised:
        await read(form(part("name=note", b"x" * 300_000)))
    assert raised.value.status == 413


async def test_a_disk_that_is_full_is_503_and_not_the_databases_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with Upload() as upload:
        monkeypatch.setattr(upload._file, "write", full)
        with pytest.raises(Problem) as raised:
            await read_plain(request([PDF]), Patience(), upload)
    assert raised.value.status == 503
    assert "gateway" in str(raised.value.detail)


WHOLE = form(
    part('name="order_number"', b"BH-55"),
    part("name=file; filename=bol.pdf; filename*=utf-8''bol.pdf", PDF),
)


@given(st.data())
async def test_whatever_becomes_of_a_form_on_its_way_it_is_read_or_refused(
    data: st.DataObject,
) -> None:
    body = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(body)))
        body[at : at + data.draw(st.integers(0, 6))] = data.draw(
            st.sampled_from([b"", b"\r\n", b"--", b'"', b";", b"\xff", b"\x00", b": ", b"a" * 9])
        )
    status = 200
    try:
        await read(bytes(body), piece=data.draw(st.integers(1, 400)))
    except Problem as problem:
        status = problem.status
    event(str(status))
    assert status in {200, 413, 422}


async def test_a_picture_of_5_mib_costs_less_than_1() -> None:
    """Its bytes go to a temporary file, and come back in pieces."""

    def pieces() -> Iterable[bytes]:
        yield part("name=order_number", b"BH-55")
        yield part("name=file; filename=p.pdf", b"")[:-2] + b"%PDF-"
        for _ in range(80):
            yield b"x" * 65536
        yield f"\r\n--{BOUNDARY}--\r\n".encode()

    with Upload() as upload:
        tracemalloc.start()
        try:
            found = await read_form(request(pieces()), Patience(), upload)
            size = 0
            async for piece in upload.pieces():
                size += len(piece)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert found.has_picture
    assert size == upload.size == 5 + 80 * 65536
    assert peak < 1024 * 1024 + 512 * 1024


@pytest.mark.parametrize("patience", [Patience(silent=0.05), Patience(picture=0.05, body=0.05)])
async def test_a_body_that_comes_too_slowly_is_408_and_ends_the_connection(
    patience: Patience,
) -> None:
    async def for_ever() -> None:
        await asyncio.Event().wait()

    with Upload() as upload:
        for reading in (
            read_form(request([b"--"], hold=for_ever), patience, upload),
            read_plain(request([b"%PDF-"], hold=for_ever), patience, upload),
            take_body(request([b"{"], hold=for_ever), patience),
        ):
            with pytest.raises(Problem) as raised:
                await reading
            assert raised.value.status == 408
            assert raised.value.response().headers["connection"] == "close"


async def test_somebody_elses_time_limit_is_not_the_clients_fault() -> None:
    async def gives_up() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        await take_body(request([b"{"], hold=gives_up), Patience())
