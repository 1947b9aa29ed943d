"""Bad requests of the driver's side, told as they should be (K12, K16, K26, K28, K34)."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from services.domain.pictures import MAX_BYTES
from services.kit.database import Pool
from tests.integration.gateway_world import SCOPES, Trade, trading
from tests.integration.test_gateway_progress import BOL, DROP, status

OF_B = "multipart/form-data; boundary=b"
PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 40


@pytest.fixture
async def trade(fresh_database: str) -> AsyncIterator[Trade]:
    async with trading(fresh_database) as made:
        yield made


async def update(trade: Trade, body: Any, **headers: str) -> httpx.Response:
    return await trade.world.ask(trade.haul, "order/update_status", body, partner="acme", **headers)


def entries(response: httpx.Response) -> list[tuple[list[Any], str]]:
    assert response.status_code == 422, response.text
    found = response.json()
    assert list(found) == ["detail"]
    assert all(set(entry) == {"loc", "msg", "type"} for entry in found["detail"])
    return [(entry["loc"], entry["type"]) for entry in found["detail"]]


async def test_an_unknown_status_is_named_with_all_else_that_is_wrong(trade: Trade) -> None:
    """R075, K14, K28: no_progress is output only."""
    for word in ("teleporting", "no_progress", "", None, 7):
        body = status(word, assigned_to="x" * 51, location=...)  # type: ignore[arg-type]
        found = [loc for loc, _ in entries(await update(trade, body))]
        assert found == [["body", "progress_status"], ["body", "assigned_to"]]
    assert trade.world.broker.sent == []


@pytest.mark.parametrize("location", [..., None])
async def test_without_a_place_only_complete_is_taken(trade: Trade, location: Any) -> None:
    """R076."""
    await trade.ordered()
    for word in ("driving_to_load", "dropping"):
        assert entries(await update(trade, status(word, location=location)))[0][0] == [
            "body",
            "location",
        ]
    taken = await update(trade, status("complete", location=location))
    assert (taken.status_code, taken.json()["status"]) == (200, "synced")


async def test_a_site_alone_is_enough_on_the_drop_side_only(trade: Trade) -> None:
    """K12."""
    await trade.ordered()
    site = {"site": {"source_id": "d-main"}, "location": ...}
    for word in ("driving_to_load", "arrived_at_load", "loading", "completed_load"):
        assert entries(await update(trade, status(word, **site)))
    for word in ("driving_to_drop", "arrived_at_drop", "dropping", "completed_drop", "assigned"):
        taken = await update(trade, status(word, **site))
        assert taken.json()["status_update"]["site"]["source_id"] == "d-main", taken.text


async def test_after_complete_there_is_no_status_but_papers(trade: Trade) -> None:
    """R078, K26, K33."""
    await trade.ordered()
    done = await update(trade, status("complete", location=...))
    refused = await update(trade, status("dropping"))
    assert (refused.status_code, refused.json()["code"]) == (422, "request.order_already_complete")
    assert set(refused.json()) == {"detail", "code", "log"}
    again = await update(trade, status("complete", location=...))
    assert again.json()["status_update"] == done.json()["status_update"]
    for path, body in (("order/save_bol", BOL), ("order/save_drop", DROP)):
        taken = await trade.world.ask(trade.haul, path, body, partner="acme")
        assert (taken.status_code, taken.json()["status"]) == (200, "synced")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("delivery = 'canceled'", "request.order_canceled"),
        ("receipt = 'rejected'", "request.order_rejected"),
        ("delivery = 'failed'", "request.order_not_sent"),
    ],
)
async def test_nothing_is_taken_on_an_order_that_is_over(
    trade: Trade, change: str, code: str
) -> None:
    """K26."""
    await trade.ordered()
    await trade.pipe.pool.execute(f"UPDATE orders SET {change}")
    for path, body in (
        ("order/update_status", status()),
        ("order/update_status", status("complete", location=...)),
        ("order/save_bol", BOL),
        ("order/save_drop", DROP),
    ):
        refused = await trade.world.ask(trade.haul, path, body, partner="acme")
        assert (refused.status_code, refused.json()["code"]) == (422, code)
    photo = await picture(trade, PNG)
    assert (photo.status_code, photo.json()["code"]) == (422, code)


async def test_an_older_status_is_told_and_does_not_move_the_trip_back(trade: Trade) -> None:
    """K26."""
    await trade.ordered()
    await update(trade, status("dropping", actual="2026-11-23T11:00:00Z", assigned_to="Kim"))
    late = status("loading", actual="2026-11-23T09:00:00Z", eta="2026-11-23T10:00:00Z")
    taken = (await update(trade, late)).json()
    assert (taken["status"], taken["status_update"]["progress_status"]) == ("synced", "loading")
    assert "the trip stays there" in taken["log"]["detail"]["message"]
    found = (await trade.world.ask(trade.acme, "order/get", {"order_number": "A1"})).json()
    assert (found["trip_status"], found["assigned_to"]) == ("dropping", "Kim")
    assert found["eta"] == "2026-11-23T10:00:00Z", "nothing newer gave one"


async def test_a_bill_or_drop_at_a_site_the_order_does_not_have_is_422(trade: Trade) -> None:
    """K16."""
    await trade.ordered()
    await trade.pipe.reference(
        "record",
        {
            "goid": "site_OTHER1",
            "entity": "site",
            "name": "Other",
            "tanks": [{"goid": "tank_OTHER1A", "number": 1, "product": "product_REGULAR"}],
        },
    )
    await trade.pipe.reference(
        "mapping",
        *(
            {
                "tenant": tenant,
                "system": system,
                "entity": "site",
                "source_id": f"{prefix}-other",
                "source_name": "Other",
                "goid": "site_OTHER1",
                "tanks": [{"tank_id": "1", "tank_goid": "tank_OTHER1A"}],
            }
            for tenant, system, prefix in (("acme", "dispatch", "o"), ("haul", "tms", "d"))
        ),
    )
    line = {**BOL["details"][0], "site": {"source_id": "d-other"}}  # type: ignore[index]
    bol = await trade.world.ask(
        trade.haul, "order/save_bol", BOL | {"details": [line]}, partner="acme"
    )
    assert entries(bol)[0][0] == ["body", "details", 0, "site"]
    drop = await trade.world.ask(
        trade.haul, "order/save_drop", DROP | {"site": {"source_id": "d-other"}}, partner="acme"
    )
    assert entries(drop)[0][0] == ["body", "site"]


async def test_a_volume_with_16_places_is_rounded_and_one_that_is_none_is_422(
    trade: Trade,
) -> None:
    """K16: clients send more than 4 places; it is never refused for that."""
    await trade.ordered()

    def lines(text: bytes) -> bytes:
        return (
            b'{"order":{"order_number":"A1"},"bol_number":"B","terminal":{"source_id":"d-north"},'
            b'"bol_date":"2026-11-23T09:30:00Z","details":[{"supplier":{"source_id":"d-sup"},'
            b'"product":{"source_id":"d-reg"},"net_volume":' + text + b',"gross_volume":1}]}'
        )

    taken = await trade.world.ask(
        trade.haul, "order/save_bol", lines(b"4998.1234499999999999"), partner="acme"
    )
    assert taken.json()["bol"]["details"][0]["net_volume"] == 4998.1234
    for text in (b'"many"', b"null", b"[]", b"true"):
        refused = await trade.world.ask(trade.haul, "order/save_bol", lines(text), partner="acme")
        assert entries(refused)[0][0] == ["body", "details", 0, "net_volume"]
    for text in (b"1e999", b"NaN"):
        refused = await trade.world.ask(trade.haul, "order/save_bol", lines(text), partner="acme")
        assert entries(refused) == [(["body", "details", 0, "net_volume"], "numbers")]


async def picture(trade: Trade, content: bytes, **texts: str) -> httpx.Response:
    return await trade.world.client.post(
        "/v1/order/save_bol_image",
        data={"order_number": "A1", "bol_number": "BOL-9", **texts},
        files={"file": ("bol.png", content)},
        headers={"X-API-Key": trade.haul, "X-Dest-Tenant-Name": "acme"},
    )


async def test_a_picture_must_be_one_and_not_too_large(trade: Trade) -> None:
    """X09."""
    await trade.ordered()
    for content in (b"", b"GIF89a", b"%PD", b"<svg/>"):
        assert entries(await picture(trade, content)) == [(["body", "file"], "picture_type")]
        stored = await trade.world.client.post(
            "/v1/blobs", content=content, headers={"X-API-Key": trade.haul}
        )
        assert entries(stored) == [(["body"], "picture_type")]
    large = await picture(trade, b"%PDF-" + b"x" * (MAX_BYTES - 4))
    assert (large.status_code, list(large.json())) == (413, ["detail"])
    stored = await trade.world.client.post(
        "/v1/blobs", content=b"x" * (MAX_BYTES + 1), headers={"X-API-Key": trade.haul}
    )
    assert stored.status_code == 413
    fits = await picture(trade, b"%PDF-" + b"x" * (MAX_BYTES - 5))
    assert fits.json()["bol_photo"]["size"] == MAX_BYTES
    as_json = await trade.world.ask(
        trade.haul, "order/save_bol_image", b" " * (1024 * 1024 + 1), partner="acme"
    )
    assert as_json.status_code == 413


async def test_a_picture_of_a_bill_that_is_not_there_is_taken_and_the_log_says_so(
    trade: Trade,
) -> None:
    """Drivers photograph first."""
    await trade.ordered()
    taken = (await picture(trade, PNG)).json()
    assert taken["status"] == "synced"
    assert "no bill of lading of this number" in taken["log"]["detail"]["message"]


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (b"", OF_B),
        (b"--b\r\n", OF_B),
        (b"--b\r\nContent-Disposition: form-data; name=file\r\n\r\n%PDF-", OF_B),
        (b"--b--\r\n", "multipart/form-data"),
        (b'{"a": 1}', OF_B),
    ],
)
async def test_a_broken_form_is_422_and_no_command(
    trade: Trade, content: bytes, content_type: str
) -> None:
    for path in ("order/save_bol_image", "blobs"):
        response = await trade.world.client.post(
            f"/v1/{path}",
            content=content,
            headers={
                "X-API-Key": trade.haul,
                "X-Dest-Tenant-Name": "acme",
                "Content-Type": content_type,
            },
        )
        assert entries(response) == [(["body"], "multipart_invalid")]
    assert trade.world.broker.sent == []


@contextmanager
def queries(pool: Pool) -> Iterator[list[str]]:
    """What is asked of the database on the connections this pool has."""
    asked: list[str] = []
    holders: Any = getattr(pool, "_holders")  # noqa: B009 - asyncpg's stubs do not know it
    connections = [holder._con for holder in holders if holder._con is not None]

    def note(query: Any) -> None:
        asked.append(re.sub(r"__asyncpg_\w+__", "a name", query.query))

    for connection in connections:
        connection.add_query_logger(note)
    try:
        yield asked
    finally:
        for connection in connections:
            connection.remove_query_logger(note)


async def test_an_order_of_another_pair_is_as_one_that_does_not_exist(trade: Trade) -> None:
    """Guarantee 6, K08: the text, the code, the headers and the queries are the same."""
    order_id = await trade.ordered()
    missing = "0" * 24

    def reading(path: str) -> Callable[[str], Awaitable[httpx.Response]]:
        return lambda id_: trade.world.client.get(
            path.format(id_), headers={"X-API-Key": trade.eve}
        )

    async def get(id_: str) -> httpx.Response:
        return await trade.world.ask(trade.eve, "order/get", {"order_id": id_})

    def command(path: str, body: dict[str, Any]) -> Callable[[str], Awaitable[httpx.Response]]:
        return lambda id_: trade.world.ask(
            trade.eve, path, body | {"order": {"order_id": id_}}, partner="acme"
        )

    for ask in (
        get,
        reading("/v1/order/{}/timeline"),
        command("order/update_status", status()),
        command("order/save_bol", BOL),
        command("order/save_drop", DROP),
    ):
        told, asked = [], []
        for id_ in (order_id, missing):
            with queries(trade.world.pool) as own, queries(trade.pipe.pool) as behind:
                answer = await ask(id_)
            assert answer.status_code == 404
            assert answer.json() == {"detail": f"Order not found for id: {id_}"}
            told.append(sorted(dict(answer.headers)))
            asked.append(([each for each in own if "fingerprint" not in each], behind))
        assert told[0] == told[1]
        assert asked[0] == asked[1]
        assert asked[0][0]


async def test_a_number_of_another_pair_waits_as_one_nobody_has(trade: Trade) -> None:
    """K42, guarantee 6."""
    await trade.ordered()
    told = []
    for number in ("A1", "Z9"):
        body = status(order={"order_number": number})
        answer = await trade.world.ask(
            trade.eve, "order/update_status", body, partner="acme", Idempotency_Key=number
        )
        assert (answer.status_code, answer.json()["status"]) == (200, "pending")
        told.append(answer.json()["message"].replace(number, "N"))
    assert told[0] == told[1]


async def test_a_number_of_two_pairs_is_decided_by_the_other_tenant_or_refused(
    trade: Trade,
) -> None:
    """K34."""
    to_haul = await trade.ordered("N1")
    to_eve = await trade.ordered("N1", to="eve")
    unsaid = await trade.world.ask(trade.acme, "order/get", {"order_number": "N1"})
    assert (unsaid.status_code, unsaid.json()["code"]) == (422, "request.order_ambiguous")
    for partner, order_id in (("haul", to_haul), ("EVE Haul", to_eve)):
        found = await trade.world.ask(
            trade.acme, "order/get", {"order_number": "N1"}, partner=partner
        )
        assert found.json()["_id"] == order_id
    said = status(location={"source_id": "o-north"}, order={"order_number": "N1"})
    for partner, order_id in (("haul", to_haul), ("eve", to_eve)):
        taken = await trade.world.ask(trade.acme, "order/update_status", said, partner=partner)
        assert taken.json()["log"]["metadata"]["crossroads_order_id"] == order_id
    # The pair in the other direction: ACME's own number twice.
    await trade.pipe.reference("pair", {"origin": "haul", "destination": "acme"})
    await trade.pipe.pool.execute(
        "INSERT INTO orders SELECT (jsonb_populate_record(o, to_jsonb(o) || jsonb_build_object("
        "'id', 'ffffffffffffffffffffffff', 'origin_id', o.destination_id, 'destination_id',"
        " o.origin_id, 'origin_number', 'H7', 'destination_number', 'N1'))).*"
        " FROM orders AS o WHERE id = $1",
        to_haul,
    )
    refused = await trade.world.ask(trade.acme, "order/update_status", said, partner="haul")
    assert (refused.status_code, refused.json()["code"]) == (422, "request.order_ambiguous")


async def test_id_and_number_that_disagree_are_404(trade: Trade) -> None:
    """K34."""
    order_id = await trade.ordered()
    await trade.ordered("A2")
    both = {"order_id": order_id, "order_number": "A2"}
    found = await trade.world.ask(trade.acme, "order/get", {"order": both})
    assert (found.status_code, found.json()) == (404, {"detail": "Order not found for number: A2"})
    refused = await update(trade, status(order=both))
    assert (refused.status_code, refused.json()) == (404, found.json())


async def test_a_credential_of_both_sides_names_its_tenant_for_commands_and_not_for_get(
    trade: Trade,
) -> None:
    """K01."""
    order_id = await trade.ordered()
    both = (await trade.world.credential("acme", "haul", scopes=SCOPES)).api_key
    found = await trade.world.ask(both, "order/get", {"order_number": "A1"})
    assert found.json()["_id"] == order_id
    refused = await trade.world.ask(both, "order/update_status", status(), partner="acme")
    assert entries(refused)[0][0] == ["header", "x-tenant-name"]
    taken = await trade.world.ask(
        both, "order/update_status", status(), partner="acme", X_Tenant_Name="HAUL Haul"
    )
    assert taken.status_code == 200
