"""Pictures over HTTP: forms as .NET and browsers write them, blobs, who reads them (R060, X09)."""

import asyncio
import hashlib
from collections.abc import AsyncIterator

import httpx
import orjson
import pytest

from services.gateway.bodies import Patience
from tests.integration.gateway_world import SCOPES, Trade, gateway, trading

PDF = b"%PDF-1.7\r\n" + bytes(range(256)) * 3000
PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 40
JPEG = b"\xff\xd8\xff\xe0" + b"\x00" * 40

# As System.Net.Http.MultipartFormDataContent writes it.
DOTNET = (
    b"--0b8f2c9e-1d7e-4a51-8f57-6f5ae28f9d2c\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n"
    b"Content-Disposition: form-data; name=order_number\r\n\r\nA1\r\n"
    b"--0b8f2c9e-1d7e-4a51-8f57-6f5ae28f9d2c\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n"
    b"Content-Disposition: form-data; name=bol_number\r\n\r\nBOL-9\r\n"
    b"--0b8f2c9e-1d7e-4a51-8f57-6f5ae28f9d2c\r\n"
    b"Content-Disposition: form-data; name=file;"
    b' filename="=?utf-8?B?TGllZmVyc2NoZWluIMOWLnBkZg==?=";'
    b" filename*=utf-8''Lieferschein%20%C3%96.pdf\r\n\r\n" + PDF + b"\r\n"
    b"--0b8f2c9e-1d7e-4a51-8f57-6f5ae28f9d2c--\r\n"
)
DOTNET_TYPE = 'multipart/form-data; boundary="0b8f2c9e-1d7e-4a51-8f57-6f5ae28f9d2c"'


@pytest.fixture
async def trade(fresh_database: str) -> AsyncIterator[Trade]:
    async with trading(fresh_database) as made:
        yield made


async def image(
    trade: Trade,
    *,
    file: tuple[str | None, bytes] | None = ("bol.pdf", PDF),
    partner: str = "acme",
    headers: dict[str, str] | None = None,
    **texts: str,
) -> httpx.Response:
    """A picture as httpx writes it."""
    said = {"order_number": "A1", "bol_number": "BOL-9", **texts}
    return await trade.world.client.post(
        "/v1/order/save_bol_image",
        data={name: text for name, text in said.items() if text != "..."},
        files={"file": file} if file is not None else {"other": ("l.png", PNG)},
        headers={"X-API-Key": trade.haul, "X-Dest-Tenant-Name": partner, **(headers or {})},
    )


async def fetch(trade: Trade, key: str, blob_id: str, **headers: str) -> httpx.Response:
    sent = {"X-API-Key": key, **{name.replace("_", "-"): text for name, text in headers.items()}}
    return await trade.world.client.get(f"/v1/blobs/{blob_id}", headers=sent)


async def test_a_form_as_dotnet_writes_it_is_stored_listed_and_told(trade: Trade) -> None:
    """R060, R085, X09."""
    await trade.ordered()
    response = await trade.world.client.post(
        "/v1/order/save_bol_image",
        content=DOTNET,
        headers={
            "X-API-Key": trade.haul,
            "X-Dest-Tenant-Name": "acme",
            "Content-Type": DOTNET_TYPE,
        },
    )
    assert response.status_code == 200, response.text
    photo = response.json()["bol_photo"]
    assert photo["file_name"] == "Lieferschein Ö.pdf"
    assert (photo["media_type"], photo["size"]) == ("application/pdf", len(PDF))
    assert photo["sha256"] == hashlib.sha256(PDF).hexdigest()
    found = (await trade.world.ask(trade.acme, "order/get", {"order_number": "A1"})).json()
    [listed] = found["order"]["bol_photos"]
    assert (listed["file_name"], listed["bol_number"]) == ("Lieferschein Ö.pdf", "BOL-9")
    command = trade.world.broker.sent[-1]
    assert orjson.loads(command.value) == {
        "order": {"order_number": "A1"},
        "bol_number": "BOL-9",
        "blob_id": photo["blob_id"],
        "file_name": "Lieferschein Ö.pdf",
    }
    for key in (trade.acme, trade.haul):
        assert (await fetch(trade, key, photo["blob_id"])).content == PDF


@pytest.mark.parametrize(
    ("content", "name", "kind", "called"),
    [
        (PNG, "a.png", "image/png", "a.png"),
        (JPEG, "called.pdf", "image/jpeg", "called.pdf"),
        (PDF, None, "application/pdf", "picture.pdf"),
    ],
)
async def test_it_is_what_its_bytes_say_whatever_its_name(
    trade: Trade, content: bytes, name: str | None, kind: str, called: str
) -> None:
    await trade.ordered()
    response = await image(trade, file=(name, content), note="both pages")
    photo = response.json()["bol_photo"]
    assert (photo["media_type"], photo["file_name"], photo["note"]) == (kind, called, "both pages")


async def test_the_same_form_again_is_the_same_command_and_another_picture_is_not(
    trade: Trade,
) -> None:
    """K32, K33: the boundary differs each time, and the picture is stored once."""
    await trade.ordered()
    key = {"Idempotency-Key": "k"}
    first = await image(trade, headers=key)
    assert (await image(trade, headers=key)).content == first.content
    reused = await image(trade, file=("bol.pdf", PDF + b"!"), headers=key)
    assert (reused.status_code, reused.json()["code"]) == (422, "request.idempotency_key_reused")
    repeated = await image(trade)
    assert repeated.json()["bol_photo"] == first.json()["bol_photo"]
    assert await trade.pipe.pool.fetchval("SELECT count(*) FROM blobs WHERE linked") == 1
    assert await trade.pipe.pool.fetchval("SELECT origin_sequence FROM orders") == 1


async def test_as_json_it_is_what_it_is_on_kafka(trade: Trade) -> None:
    await trade.ordered()
    made = await trade.world.client.post(
        "/v1/blobs", content=PNG, headers={"X-API-Key": trade.haul}
    )
    assert made.status_code == 200
    blob = made.json()
    assert blob == {
        "blob_id": blob["blob_id"],
        "media_type": "image/png",
        "size": len(PNG),
        "sha256": hashlib.sha256(PNG).hexdigest(),
    }
    body = {
        "order": {"order_number": "A1"},
        "bol_number": "BOL-9",
        "file_name": "a.png",
        "blob_id": blob["blob_id"],
    }
    saved = await trade.world.ask(trade.haul, "order/save_bol_image", body, partner="acme")
    assert saved.json()["bol_photo"]["sha256"] == blob["sha256"]


async def test_a_blob_of_somebody_else_can_neither_be_named_nor_read(trade: Trade) -> None:
    """Guarantee 6: the same 404 as of one that does not exist, by the same way."""
    await trade.ordered()
    headers = {"X-API-Key": trade.haul}
    blob_id = (await trade.world.client.post("/v1/blobs", content=PNG, headers=headers)).json()[
        "blob_id"
    ]
    again = await trade.world.client.post("/v1/blobs", files={"file": (None, PNG)}, headers=headers)
    assert again.json()["blob_id"] == blob_id
    for key in (trade.acme, trade.eve):
        answers = [
            await fetch(trade, key, each) for each in (blob_id, "0" * 24, "x%00", "x" * 2000)
        ]
        assert {answer.status_code for answer in answers} == {404}
        assert {answer.content for answer in answers} == {b'{"detail":"There is no such picture."}'}
        assert len({tuple(dict(answer.headers)) for answer in answers}) == 1
    body = {
        "order": {"order_number": "A1"},
        "bol_number": "BOL-9",
        "file_name": "a.png",
        "blob_id": blob_id,
    }
    [entry] = (
        await trade.world.ask(trade.acme, "order/save_bol_image", body, partner="haul")
    ).json()["detail"]
    assert (entry["loc"], entry["type"]) == (["body", "blob_id"], "unknown_blob")
    ids = [await _id_of(trade, key) for key in (trade.acme, trade.haul)]
    assert len(set(ids)) == 2, "an id must not tell that somebody else has the picture, too"


async def _id_of(trade: Trade, key: str) -> str:
    made = await trade.world.client.post("/v1/blobs", content=PNG, headers={"X-API-Key": key})
    blob_id: str = made.json()["blob_id"]
    return blob_id


async def test_a_picture_is_read_with_all_that_keeps_a_browser_from_running_it(
    trade: Trade,
) -> None:
    await trade.ordered()
    photo = (await image(trade)).json()["bol_photo"]
    answer = await fetch(trade, trade.acme, photo["blob_id"])
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["content-length"] == str(len(PDF))
    assert answer.headers["etag"] == f'"{photo["sha256"]}"'
    name = f'attachment; filename="{photo["blob_id"]}.pdf"'
    assert answer.headers["content-disposition"] == name
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "private, no-cache"
    unchanged = await fetch(
        trade, trade.acme, photo["blob_id"], If_None_Match=answer.headers["etag"]
    )
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    gone = await fetch(trade, trade.eve, photo["blob_id"], If_None_Match=answer.headers["etag"])
    assert gone.status_code == 404


async def test_all_errors_of_a_form_come_at_once_and_nothing_is_stored(trade: Trade) -> None:
    """K28."""
    response = await image(trade, file=("a.txt", b"no picture"), bol_number="...", note="x" * 301)
    assert response.status_code == 422
    found = {tuple(entry["loc"]): entry["type"] for entry in response.json()["detail"]}
    assert found == {
        ("body", "bol_number"): "missing",
        ("body", "note"): "string_too_long",
        ("body", "file"): "picture_type",
    }
    response = await image(trade, file=None)
    assert [entry["loc"] for entry in response.json()["detail"]] == [["body", "file"]]
    response = await image(trade, blob_id="0" * 24)
    assert [entry["loc"] for entry in response.json()["detail"]] == [["body", "blob_id"]]
    response = await image(trade, note="a\x00b")
    assert [entry["loc"] for entry in response.json()["detail"]] == [["body", "note"]]
    assert await trade.pipe.pool.fetchval("SELECT count(*) FROM blobs") == 0
    assert trade.world.broker.sent == []


async def test_unknown_fields_and_files_are_named_or_refused(trade: Trade) -> None:
    """K31."""
    await trade.ordered()
    named = await image(trade, colour="red")
    assert named.json()["message"] == "Ignored unknown fields: colour"
    strict = await image(trade, colour="red", headers={"Prefer": "handling=strict"})
    assert [entry["loc"] for entry in strict.json()["detail"]] == [["body", "colour"]]


async def test_a_credential_of_several_tenants_must_name_one(trade: Trade) -> None:
    """K01."""
    both = (await trade.world.credential("acme", "haul", scopes=SCOPES)).api_key
    for path in ("blobs", "order/save_bol_image"):
        headers = {"X-API-Key": both, "X-Dest-Tenant-Name": "acme"}
        answer = await trade.world.client.post(
            f"/v1/{path}", files={"file": (None, PNG)}, headers=headers
        )
        assert answer.status_code == 422
        assert answer.json()["detail"][0]["loc"] == ["header", "x-tenant-name"]
    named = {"X-API-Key": both, "X-Tenant-Name": "haul"}
    stored = await trade.world.client.post("/v1/blobs", content=PNG, headers=named)
    assert stored.status_code == 200


async def test_a_body_that_comes_too_slowly_is_408(fresh_database: str) -> None:
    async with gateway(fresh_database, patience=Patience(silent=0.05)) as world:
        key = await world.key("acme", scopes=SCOPES)

        async def drips() -> AsyncIterator[bytes]:
            yield b"%PDF-"
            await asyncio.Event().wait()

        for path in ("blobs", "order/update_status", "order/create"):
            headers = {"X-API-Key": key, "X-Dest-Tenant-Name": "haul"}
            answer = await world.client.post(f"/v1/{path}", content=drips(), headers=headers)
            assert answer.status_code == 408
            assert list(answer.json()) == ["detail"]
            assert answer.headers["connection"] == "close"
        assert world.broker.sent == []


async def test_more_pictures_at_once_than_there_is_room_for_are_503(trade: Trade) -> None:
    hub = trade.world.client._transport.app.state.hub  # type: ignore[attr-defined]
    with hub.pictures.taken(0):
        hub.pictures._callers = 1
        answer = await image(trade)
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
