"""The first acts: reference data, the first orders, the documents' own examples."""

from __future__ import annotations

import json
from typing import Any

import httpx

from services.cli.demo import examples
from services.cli.demo.checks import differences, received
from services.cli.demo.day import DayOrder, Place
from services.cli.demo.sending import ReferenceItem
from services.cli.demo.stage import Stage
from services.cli.demo.trade import HAULERS, NORTH, ORIGIN
from services.kit.database import open_pool, transaction
from services.records import credentials

SITE = "site_S04XXX"


async def reference_arrives(stage: Stage) -> None:
    """Two thirds of the mappings come before what they refer to, and wait (X10)."""
    tell = stage.tell
    tell.act("The companies' reference data arrives on crossroads.reference")
    file = examples.merged(stage.trade.reference(), examples.reference())
    items = [ReferenceItem(name, body) for name in file for body in file[name]]
    early = [item for at, item in enumerate(items) if item.list in ("pairs", "mappings") and at % 3]
    ordered = early + [item for item in items if item not in early]
    ids = {f"reference-{at:04}" for at in range(len(ordered))}
    await stage.upstream.reference(ordered, "reference")

    def all_told() -> bool:
        stage.operator.read_on()
        return ids <= stage.operator.final.keys()

    await stage.watch.until(all_told, "every item of the reference data is answered")
    counts = ", ".join(f"{len(file[name])} {name}" for name in file)
    tell.say(f"{counts}; {len(early)} of them before the records they refer to")
    wrong = {command: stage.operator.code(command) for command in ids}
    tell.check(
        f"all {len(ids)} items are applied, {len(stage.operator.waiting)} after they had waited",
        all(code is None for code in wrong.values()),
        str({command: code for command, code in wrong.items() if code})[:500],
    )
    await _make_credentials(stage)


async def _make_credentials(stage: Stage) -> None:
    """A key for each company, with the scopes of what it does here."""
    both = ["order:read", "order:update", "order:cancel"]
    both += [f"order_change:{what}" for what in ("read", "accept", "reject")]
    drives = ["order:update_status", "order:save_bol", "order:save_drop"]
    decides = ["order:receipt", "order_request:accept", "order_request:reject"]
    scopes = {slug: [*both, *drives, *decides] for slug in HAULERS}
    scopes[ORIGIN] = [*both, "order:create", "reference:write"]
    pool = await open_pool(stage.line["database"], application_name="crossroads demo", max_size=2)
    async with pool, transaction(pool) as connection:
        for slug, allowed in scopes.items():
            made = await credentials.create(
                connection, tenants=[slug], scopes=allowed, operator=False
            )
            stage.keys[slug] = made.api_key


async def first_orders(stage: Stage) -> None:
    """One over HTTP, one as a record; both read on the destination's topic."""
    tell = stage.tell
    tell.act("An order over HTTP, and one by plain aiokafka")
    first = plain_order(stage, "PF-HELLO-1")
    stage.orders[first.command_id] = first
    answer = await stage.upstream.http_order(
        first.body, stage.key, destination=NORTH, command_id=first.command_id
    )
    tell.quote(
        f"curl {stage.line['http']}/v1/order/create \\\n"
        f"  -H 'X-API-Key: …' -H 'X-Dest-Tenant-Name: {NORTH}' \\\n"
        f"  --json '{json.dumps(first.body, ensure_ascii=False)}'"
    )
    expect(stage, answer, 200, "synced")
    await delivered(stage, first)
    stage.summary["first_synced_seconds"] = round(tell.seconds, 2)
    tell.check(
        f"{stage.name(NORTH)} has it on crossroads.sync.{NORTH}, {tell.seconds:.1f} s after the"
        " start, in its own ids",
        holds=True,
    )
    _both_words(stage, first)

    second = plain_order(stage, "PF-HELLO-2")
    stage.orders[second.command_id] = second
    await stage.upstream.order(second)
    tell.quote(f"producer.send('crossroads.orders.{ORIGIN}', key=…, value=…, headers=[…])")
    await delivered(stage, second)
    await stage.watch.until(lambda: _is_done(stage, second), "the second order is answered")
    tell.check(f"the answer is on crossroads.results.{ORIGIN}: done, synced", holds=True)


async def the_documents_examples(stage: Stage) -> None:
    """As printed they are refused by name; with the least change they are orders."""
    tell = stage.tell
    tell.act("The documents' own examples break their own rules")
    for example in examples.examples():
        tell.say(f"{example.document}:")
        if example.printed is not None:
            answer = await _example(stage, example.printed, example.destination, "as-printed")
            named = examples.named_fields(answer.json()["detail"])
            missing = sorted(set(example.named) - set(named))
            tell.check(
                f"as printed it is refused with {answer.status_code}, naming {len(named)} fields",
                answer.status_code == 422 and not missing,
                f"Not named: {missing}; the answer was {answer.text[:500]}",
            )
            tell.quote("\n".join(_told(answer)))
        answer = await _example(stage, example.order, example.destination, "changed")
        how = "; ".join(example.changes) or "as it is"
        expect(stage, answer, 200, "synced", f"it is an order ({how})")


async def _example(
    stage: Stage, body: dict[str, Any], destination: str, way: str
) -> httpx.Response:
    command_id = f"example-{destination}-{body['origin_order_number']}-{way}"
    answer = await stage.upstream.http_order(
        body, stage.key, destination=destination, command_id=command_id, system=examples.SYSTEM
    )
    if answer.status_code == 200:
        number = str(body["origin_order_number"])
        stage.orders[command_id] = DayOrder(
            number=number,
            command_id=command_id,
            destination=destination,
            body=body,
            wanted={},
            late=frozenset(),
            by_http=True,
            features=frozenset(),
        )
    return answer


def _told(answer: httpx.Response) -> list[str]:
    entries = answer.json()["detail"]
    told = [f"{'.'.join(str(part) for part in e['loc'][1:])}: {e['msg']}" for e in entries]
    return told if len(told) <= 8 else [*told[:8], f"… and {len(told) - 8} more"]


def expect(
    stage: Stage, answer: httpx.Response, code: int, status: str, what: str = "the answer"
) -> None:
    """Check that HTTP answered with this code and this status."""
    found = answer.json().get("status") if answer.status_code == 200 else None
    stage.tell.check(
        f"{what}: {code} {status}",
        answer.status_code == code and found == status,
        f"It was {answer.status_code} {answer.text[:800]}",
    )


async def delivered(stage: Stage, order: DayOrder) -> None:
    """Wait until an order stands on its destination's topic, as it was meant."""
    await stage.watch.until(lambda: stage.arrived(order), f"{order.number} is delivered")
    seen = stage.deliveries.orders[order.destination, order.number]
    told = differences(order.wanted, received(seen.document["order"]))
    if told:
        stage.tell.check(f"{order.number} is what was sent", holds=False, why="; ".join(told))


def _is_done(stage: Stage, order: DayOrder) -> bool:
    stage.answers.read_on()
    seen = stage.answers.final.get(order.command_id)
    return seen is not None and seen.document["body"]["status"] == "synced"


def plain_order(
    stage: Stage, number: str, *, destination: str = NORTH, supplier: str = "company_CAFEOI"
) -> DayOrder:
    """One drop of 7,500 gallons; six hours of a night in which the clocks are set back."""
    ours, theirs = stage.trade.words[ORIGIN], stage.trade.words[destination]
    tank = stage.trade.tanks_of(SITE)[0]
    keys = {"terminal": "terminal_MALMO1", "supplier": supplier}
    load = {name: {"source_id": ours.main(goid).source_id} for name, goid in keys.items()}
    site, product = ours.main(SITE).source_id, ours.main(tank.product).source_id
    body = {
        "origin_order_number": number,
        "note": "Hello, Søren!",
        "delivery_window": {
            "start": "2026-11-01T00:30:00",
            "end": "2026-11-01T05:30:00",
            "timezone": "America/Chicago",
        },
        "drops": [
            {
                "site": {"source_id": site, "tank_id": ours.tanks[tank.goid].tank_id},
                "product": {"source_id": product},
                "volume": 7500,
                "loads": [{**load, "price_type": "rack"}],
            }
        ],
    }
    read = {
        "terminals": [theirs.main(keys["terminal"]).source_id],
        "products": [],
        "suppliers": [theirs.main(keys["supplier"]).source_id],
        "price_types": ["rack"],
        "contracts": [],
    }
    wanted: dict[str, Any] = {
        "number": number,
        "po": None,
        "note": "Hello, Søren!",
        "supply_owner": None,
        # Six hours: the clocks are set back in that night.
        "window": ["2026-11-01T05:30:00Z", "2026-11-01T11:30:00Z", "America/Chicago"],
        "drops": [
            {
                "site": theirs.main(SITE).source_id,
                "tank": theirs.tanks[tank.goid].tank_id,
                "product": theirs.main(tank.product).source_id,
                "volume": 7500,
                "loads": [read],
            }
        ],
        "extra_data": {},
    }
    return DayOrder(
        number=number,
        command_id=f"hello-{number}",
        destination=destination,
        body=body,
        wanted=wanted,
        late=frozenset(),
        by_http=False,
        features=frozenset(),
        places=(Place(SITE, site, tank, named=True),),
    )


def _both_words(stage: Stage, order: DayOrder) -> None:
    """One order beside itself: as it was said, and as it was read."""
    said, window = order.body["drops"][0], order.body["delivery_window"]
    read = stage.deliveries.orders[order.destination, order.number].document["order"]
    drop, load = read["drops"][0], read["drops"][0]["loads"][0]
    rows = [
        ("site", said["site"]["source_id"], _shown(drop["site"])),
        ("tank", said["site"]["tank_id"], drop["site"]["tank_id"]),
        ("product", said["product"]["source_id"], _shown(drop["product"])),
        ("terminal", said["loads"][0]["terminal"]["source_id"], _shown(load["terminal"])),
        ("supplier", said["loads"][0]["supplier"]["source_id"], _shown(load["supplier"])),
        ("from", f"{window['start']} {window['timezone']}", read["delivery_window"]["start"]),
        ("until", f"{window['end']} {window['timezone']}", read["delivery_window"]["end"]),
    ]
    stage.tell.table(("", f"{stage.name(ORIGIN)} says", f"{stage.name(NORTH)} reads"), rows)


def _shown(key: dict[str, Any]) -> str:
    return f"{key['source_id']} ({key['source_name']})"
