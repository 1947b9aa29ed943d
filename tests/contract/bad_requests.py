"""Requests that are refused, by the number that says so: what each is answered, word for word."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from tests.integration.hub import bol, order, status

NOWHERE = "0" * 24
NO_PAIR = "There is no pair of these tenants in this direction."
NOT_YOUR_TENANT = "The credential does not belong to the tenant that X-Tenant-Name names."
CANCELED = "The order is canceled and takes nothing more."
COMPLETE = "The order is complete and takes no further change."
REJECTED = "The destination rejected the order; it takes nothing more."

FIXED = {"Idempotency-Key": "bad-requests"}

Where: TypeAlias = tuple[str, str]


@dataclass(frozen=True)
class Bad:
    """A request and its refusal.

    `detail` is the sentence, or (place, type) of each entry, the place with dots. `code` is the
    word in the body, `told` the one of the result on Kafka where the body has none. `{name}` in
    ids and sentences stands for what the world knows under that name. Without `on_kafka` it is
    HTTP alone that can be asked so.
    """

    numbers: str
    path: str
    body: Any
    status: int
    detail: str | list[Where]
    code: str | None = None
    who: str = "acme"
    partner: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    on_kafka: bool = True
    told: str | None = None


def drop(**changes: Any) -> list[dict[str, Any]]:
    return [{**order("")["drops"][0], **changes}]


def named(number: str) -> dict[str, Any]:
    return {"order": {"order_number": number}}


def by_id(id_: str) -> dict[str, Any]:
    return {"order": {"order_id": id_}}


def create(numbers: str, place: str, type_: str, **changes: Any) -> Bad:
    return Bad(numbers, "order/create", order("NEW", **changes), 422, [(place, type_)])


def edge(numbers: str, status_: int, detail: str | list[Where], **members: Any) -> Bad:
    """What the gateway refuses before there is a command."""
    members = {"path": "order/create", "body": order("NEW"), **members}
    return Bad(numbers, status=status_, detail=detail, on_kafka=False, **members)


def reused(path: str, body: Any) -> Bad:
    """A key that belongs to another command of the caller's, whatever its operation."""
    text = "This idempotency key was used for another command."
    code = "request.idempotency_key_reused"
    return Bad("K32", path, body, 422, text, code, headers=FIXED, on_kafka=False)


def rule(numbers: str, path: str, body: Any, code: str, detail: str, **members: Any) -> Bad:
    return Bad(numbers, path, body, 422, detail, code, **members)


WINDOW = {"start": "2026-11-23T08:00:00Z", "end": "2026-11-23T12:00:00Z"}
SKIPPED = {"start": "2026-03-08T02:30:00", "end": "2026-03-08T12:00:00"}
TERMINAL, SUPPLIER = {"source_id": "o-north"}, {"source_id": "o-sup"}
SITE = {"source_id": "o-main"}
DUPLICATE = "Duplicate order: An order with number 'SENT' already exists for this tenant."
TAKEN = "Another order of this pair has this destination number."
DEPTH: Any = None
for _ in range(33):
    DEPTH = [DEPTH]

WHO = [
    edge("K01 K29", 401, "{missing}", who="nobody"),
    edge("K01 K29", 401, "{invalid}", who="a stranger"),
    edge("K01 R003 K29", 403, "The credential does not have the scope order:create.", who="reader"),
    *(
        edge("K01 K29", 403, f"The credential does not have the scope {scope}.", who="reader",
             path=path, body=named("SENT"))
        for path, scope in (
            ("order/update", "order:update"), ("order/cancel", "order:cancel"),
            ("order/update_status", "order:update_status"), ("order/save_bol", "order:save_bol"),
            ("order/save_drop", "order:save_drop"), ("order/save_bol_image", "order:save_bol"),
            ("order/receipt", "order:receipt"), ("order/change/create", "order:update"),
            ("order/change/accept", "order_change:accept"),
            ("order/change/reject", "order_change:reject"),
            ("order/change/all", "order_change:read"),
            ("order/request/accept", "order_request:accept"),
            ("order/request/reject", "order_request:reject"), ("blobs", "order:save_bol"),
            ("reference/tenants", "operations:write"), ("reference/mappings", "reference:write"),
        )
    ),
    edge("K01 K29", 403, NOT_YOUR_TENANT, headers={"X-Tenant-Name": "nobody"}),
    edge("K01 K29", 403, NOT_YOUR_TENANT, headers={"X-Tenant-Name": "EVE Haul"}),
    edge("K01 R006", 422, [("header.x-tenant-name", "missing")], who="both"),
    Bad("K01 K29", "order/create", order("NEW"), 403, NO_PAIR, "request.no_such_pair",
        partner="nobody"),
    Bad("K29", "order/create", order("NEW"), 403, NO_PAIR, "request.no_such_pair",
        who="haul", partner="acme"),
    Bad("K29", "order/update", {**named("SENT"), "note": "x"}, 403, NO_PAIR,
        "request.no_such_pair", who="eve", partner="haul"),
    Bad("R065 K29", "order/request/accept",
        {**named("REQUESTED"), "destination_order_number": "H-9"}, 403, "{not_the_destination}",
        "request.not_allowed"),
    Bad("X07 K29", "order/receipt", {**named("SENT"), "status": "received"}, 403,
        "{not_the_destination}", "request.not_allowed"),
    Bad("R004 R008 K09", "order/create", order("NEW"), 422,
        [("header.x-dest-tenant-name", "missing")], partner=""),
    Bad("R008 K09", "order/change/accept", {"id": NOWHERE}, 422,
        [("header.x-dest-tenant-name", "missing")], partner=""),
    Bad("K28", "order/create", order("NEW", note="n" * 301), 422,
        [("header.x-origin-system-name", "unknown_system"), ("body.note", "string_too_long")],
        headers={"X-Origin-System-Name": "abacus"}),
]  # fmt: skip
BODIES = [
    edge("K31", 422, [("body", "json_invalid")], body=b"{"),
    edge("K31", 422, [("body", "not_utf8")], body=b'{"note": "\xff"}'),
    edge("K31", 422, [("body.extra_data" + ".0" * 31, "depth")], body={"extra_data": DEPTH}),
    edge("K31", 422, [("body.x", "numbers")], body=b'{"x": NaN}'),
    edge("K31", 422, [("body.x", "numbers")], body=b'{"x": 1e999}'),
    edge("K31", 422, [("body.note", "characters")], body=b'{"note": "\\u0000"}'),
    edge("K31", 422, [("body.note", "characters")], body=b'{"note": "\\ud800"}'),
    edge("K31", 413, "The body is larger than 1048576 bytes.", body=b" " * (1 << 20) + b"{}"),
    edge("X09", 413, "The picture is larger than 10485760 bytes.", path="blobs",
         body=b"%PDF-" + b"x" * (10 << 20), headers={"Content-Type": "application/pdf"}),
    create("K31", "body.extra_data", "extra_data_too_large", extra_data={"a": "x" * 65536}),
    edge("K31", 422, [("body.colour", "extra_forbidden")], body=order("NEW", colour=1),
         headers={"Prefer": "handling=strict"}),
]  # fmt: skip
CREATES = [
    create("R018", "body.origin_order_number", "string_type", origin_order_number=None),
    create("R021", "body.delivery_window.end", "missing",
           delivery_window={"start": WINDOW["start"]}),
    create("R022", "body.delivery_window.end", "window_order",
           delivery_window={"start": WINDOW["end"], "end": WINDOW["start"]}),
    create("R023", "body.note", "string_too_long", note="n" * 301),
    create("R024 K27", "body.drops", "too_short", drops=[]),
    create("R025", "body.drops.0.site", "dict_type", drops=drop(site=None)),
    create("R026 R043 K05", "body.drops.0.product", "tank_or_product_required",
           drops=drop(site=SITE, product=None)),
    create("R027 K27", "body.drops.0.volume", "greater_than", drops=drop(volume=0)),
    create("R027", "body.drops.0.volume", "int_type", drops=drop(volume=2.5)),
    create("K27", "body.delivery_window.timezone", "timezone_unknown",
           delivery_window={**WINDOW, "timezone": "Mars"}),
    create("K27", "body.delivery_window.start", "local_time_skipped",
           delivery_window={**SKIPPED, "timezone": "America/Chicago"}),
    create("R031", "body.supply_owner", "key_required", supply_owner={}),
    create("R036", "body.drops.0.product.goid", "goid_alone",
           drops=drop(product={"goid": "product_REGULAR", "source_id": "o-reg"})),
    create("R037", "body.drops.0.site.goid", "goid_alone",
           drops=drop(site={"goid": "site_MAIN01", "tank_id": "1"})),
    create("R038 K37", "body.supply_owner.goid", "goid_format",
           supply_owner={"goid": "company_abc"}),
    create("K03", "body.supply_owner.mapping_id", "unknown_mapping",
           supply_owner={"mapping_id": NOWHERE}),
    Bad("K03 K28", "order/create",
        order("NEW", supply_owner={"mapping_id": NOWHERE}, drops=drop(volume=0)), 422,
        [("body.drops.0.volume", "greater_than"),
         ("body.supply_owner.mapping_id", "unknown_mapping")]),
    create("R041", "body.drops.0.site.tank_id", "string_too_long",
           drops=drop(site={**SITE, "tank_id": "1" * 11})),
    create("R049", "body.drops.0.loads.1", "blend_parameters",
           drops=drop(loads=[{"terminal": TERMINAL}, {"supplier": SUPPLIER}])),
    create("R052", "body.drops.0.loads.0.price_type", "literal_error",
           drops=drop(loads=[{"price_type": "barter"}])),
    create("R053", "body.drops.0.loads.0.contract", "contract_without_price_type",
           drops=drop(loads=[{"contract": "C", "price_type": "rack"}])),
    create("K06", "body.drops.0.loads.0.terminals", "singular_and_plural",
           drops=drop(loads=[{"terminal": TERMINAL, "terminals": [TERMINAL]}])),
    rule("K36", "order/create", order("SENT"), "request.order_already_exists", DUPLICATE),
    rule("K36 X08", "order/create", order("CANCELED"), "request.order_already_exists",
         DUPLICATE.replace("SENT", "CANCELED")),
    reused("order/create", order("NEW")),
    reused("order/cancel", named("SENT")),
]  # fmt: skip
FINDING = [
    edge("K08 K29", 404, "Order not found for number: NONE", path="order/get",
         body={"order_number": "NONE"}),
    edge("K08 K29", 404, f"Order not found for id: {NOWHERE}", path="order/get",
         body=by_id(NOWHERE)),
    edge("K08", 404, "Order not found for number: SENT", path="order/get",
         body={"order_number": "SENT"}, who="eve"),
    edge("R012", 422, [("body.order", "key_required")], path="order/get", body={}),
    *(
        Bad("K34 K29", path, {**by_id(id_), **more}, 404, f"Order not found for id: {id_}",
            who=who, partner="acme", told="request.order_not_found")
        for id_, who in ((NOWHERE, "haul"), ("{sent}", "eve"))
        for path, more in (
            ("order/update_status", {k: v for k, v in status("").items() if k != "order"}),
            ("order/cancel", {}), ("order/request/reject", {}), ("order/update", {"note": "x"}),
            ("order/receipt", {"status": "received"}), ("order/change/create", {"note": "x"}),
        )
    ),
    Bad("K34", "order/cancel", {"order": {"order_id": "{sent}", "order_number": "CANCELED"}}, 404,
        "Order not found for number: CANCELED", told="request.order_not_found"),
    Bad("R012", "order/cancel", {"order": {}}, 422, [("body.order", "key_required")]),
    Bad("R015", "order/change/accept", {}, 422, [("body", "key_required")], who="haul"),
    Bad("K35", "order/change/accept", {"id": NOWHERE}, 404, "There is no such change.",
        who="haul", told="change.not_found"),
    Bad("K35 X03", "order/change/reject", {"order": {"origin_order_number": "SENT"}}, 404,
        "There is no such change.", who="haul", told="change.not_found"),
]  # fmt: skip
PROGRESS = [
    Bad("R075 K14", "order/update_status", status("SENT", progress_status="no_progress"), 422,
        [("body.progress_status", "literal_error")], who="haul"),
    Bad("R076", "order/update_status", status("SENT", location=...), 422,
        [("body.location", "location_required")], who="haul"),
    Bad("K12", "order/update_status", status("SENT", location=..., site={"source_id": "d-main"}),
        422, [("body.location", "location_required")], who="haul"),
    Bad("R082", "order/update_status", status("SENT", assigned_to="a" * 51), 422,
        [("body.assigned_to", "string_too_long")], who="haul"),
    Bad("R057", "order/save_bol", bol("SENT", details=[]), 422,
        [("body.details", "too_short")], who="haul"),
    Bad("K03", "order/save_bol", bol("SENT", terminal={"mapping_id": NOWHERE}), 422,
        [("body.terminal.mapping_id", "unknown_mapping")], who="haul"),
    Bad("K03 K28", "order/save_bol", bol("SENT", terminal={"mapping_id": NOWHERE}, details=[]), 422,
        [("body.terminal.mapping_id", "unknown_mapping"), ("body.details", "too_short")],
        who="haul"),
    edge("X09", 422, [("body.file", "picture_type")], path="order/save_bol_image", who="haul",
         body=b'--b\r\ncontent-disposition: form-data; name="order_number"\r\n\r\nSENT\r\n'
              b'--b\r\ncontent-disposition: form-data; name="bol_number"\r\n\r\nB\r\n'
              b'--b\r\ncontent-disposition: form-data; name="file"; filename="a.pdf"\r\n\r\n'
              b"no picture\r\n--b--\r\n",
         headers={"Content-Type": "multipart/form-data; boundary=b"}),
]  # fmt: skip
OVER = [
    rule("K26", path, {**named(number), **more}, f"request.order_{code}", sentence, who=who)
    for number, code, sentence in (
        ("COMPLETE", "already_complete", COMPLETE),
        ("CANCELED", "canceled", CANCELED),
        ("REJECTED", "rejected", REJECTED),
    )
    for who, path, more in (
        ("haul", "order/update_status", {k: v for k, v in status("").items() if k != "order"}),
        ("acme", "order/update", {"note": "x"}),
        ("haul", "order/change/create", {"note": "x"}),
        ("acme", "order/cancel", {"reason_code": "another"}),
    )
]
SETTLING = [
    rule("X06", "order/request/accept", {**named("SENT"), "destination_order_number": "H-9"},
         "request.order_not_requested", "The order does not wait for manual acceptance.",
         who="haul"),
    rule("X06", "order/request/reject", named("SENT"), "request.order_not_requested",
         "The order does not wait for manual acceptance.", who="haul"),
    rule("X06 X07", "order/request/accept",
         {**named("REQUESTED"), "destination_order_number": "H-1"},
         "request.order_number_taken", TAKEN, who="haul"),
    rule("X07", "order/receipt",
         {**named("SENT"), "status": "received", "destination_order_number": "H-1"},
         "request.order_number_taken", TAKEN, who="haul"),
    rule("X07", "order/receipt", {**named("GAP"), "status": "received"},
         "request.order_not_sent", "The order has not been sent to its destination.", who="haul"),
    rule("X07 K26", "order/receipt", {**named("CANCELED"), "status": "received"},
         "request.order_canceled", CANCELED, who="haul"),
    Bad("X06", "order/request/accept", named("REQUESTED"), 422,
        [("body.destination_order_number", "missing")], who="haul"),
    Bad("X07", "order/receipt", {**named("SENT"), "status": "eaten"}, 422,
        [("body.status", "literal_error")], who="haul"),
    *(
        Bad("R016 X03 X06 X08", path, {**more, "reason_code": "r" * 31}, 422,
            [("body.reason_code", "string_too_long")], who="haul")
        for path, more in (
            ("order/cancel", named("SENT")), ("order/request/reject", named("SENT")),
            ("order/receipt", {**named("SENT"), "status": "failed"}),
            ("order/change/accept", {"id": NOWHERE}), ("order/change/reject", {"id": NOWHERE}),
        )
    ),
]  # fmt: skip
CHANGES = [
    Bad("X04", "order/change/accept", {"id": "{stale}"}, 409,
        "The order was changed after this change was proposed.", "change.stale", who="haul"),
    rule("X04", "order/change/accept", {"id": "{pending}"}, "change.not_yours",
         "Only the other side of a proposal may accept it."),
    rule("X04", "order/change/accept", {"id": "{settled}"}, "change.settled",
         "The change was accepted or rejected before.", who="haul"),
    rule("X03 X04", "order/change/reject", {"id": "{settled}"}, "change.settled",
         "The change was accepted or rejected before.", who="haul"),
    Bad("X01", "order/update", named("SENT"), 422, [("body", "nothing_to_change")]),
    Bad("X01", "order/update", {**named("SENT"), "drops": None}, 422,
        [("body.drops", "list_type")]),
    Bad("X01", "order/change/create", {**named("SENT"), "drops": drop(product={"source_id": "?"})},
        422, [("body.drops.0.product", "unmapped")]),
    edge("X02", 422, [("body", "filter_required")], path="order/change/all", body={}),
    edge("X02", 422, [("body.updated_as_of", "filters_exclude")], path="order/change/all",
         body={"as_of": "2026-01-01T00:00:00Z", "updated_as_of": "2026-01-01T00:00:00Z"}),
    edge("X02", 422, [("body.order_numbers", "too_long")], path="order/change/all",
         body={"order_numbers": ["x"] * 3001}),
]  # fmt: skip
ALL = [*WHO, *BODIES, *CREATES, *FINDING, *PROGRESS, *OVER, *SETTLING, *CHANGES]
