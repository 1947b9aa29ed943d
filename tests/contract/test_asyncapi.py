"""The AsyncAPI pages of the workers: every record they take and send, each with its shape."""

from typing import Any

import orjson
import pytest

from schemas import topics
from services.change_acceptance import app as change_acceptance
from services.commands.asyncapi import asyncapi_document
from services.order_intake import app as order_intake
from services.reference_data import app as reference_data
from services.status_update import app as status_update

WORKERS = {
    order_intake.SERVICE: (topics.ORDERS, order_intake.SUMMARY),
    status_update.SERVICE: (topics.PROGRESS, status_update.SUMMARY),
    change_acceptance.SERVICE: (topics.CHANGES, change_acceptance.SUMMARY),
    reference_data.SERVICE: (topics.REFERENCE, reference_data.SUMMARY),
}


@pytest.fixture(params=WORKERS)
def page(request: pytest.FixtureRequest) -> dict[str, Any]:
    base, summary = WORKERS[request.param]
    return asyncapi_document(request.param, base, summary)


def test_every_reference_leads_somewhere(page: dict[str, Any]) -> None:
    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
            return own + [found for each in node.values() for found in references(each)]
        return (
            [found for each in node for found in references(each)] if isinstance(node, list) else []
        )

    orjson.dumps(page)
    for reference in references(page):
        node: Any = page
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]


def test_what_is_taken_has_a_payload_and_a_result() -> None:
    base, summary = WORKERS["status-update"]
    page = asyncapi_document("status-update", base, summary)
    taken = list(page["channels"][base]["messages"])
    assert taken == [
        "crossroads.order.update-status.v1",
        "crossroads.order.save-bol.v1",
        "crossroads.order.save-drop.v1",
        "crossroads.order.save-bol-image.v1",
    ]
    messages = page["components"]["messages"]
    assert all("payload" in messages[kind] for kind in taken)
    results = page["channels"][topics.RESULTS]["messages"]
    assert list(results) == [kind.removesuffix(".v1") + ".result.v1" for kind in taken]
    assert "crossroads.order.status-updated.v1" in page["channels"][topics.SYNC]["messages"]


def test_what_changes_an_order_has_a_payload_a_result_and_records_for_both_sides() -> None:
    base, summary = WORKERS["change-acceptance"]
    page = asyncapi_document("change-acceptance", base, summary)
    taken = list(page["channels"][base]["messages"])
    assert taken == [
        "crossroads.order.update.v1",
        "crossroads.change.propose.v1",
        "crossroads.change.accept.v1",
        "crossroads.change.reject.v1",
    ]
    messages = page["components"]["messages"]
    assert all("payload" in messages[kind] for kind in taken)
    told = page["channels"][topics.SYNC]["messages"]
    wanted = ["order.updated", "change.proposed", "change.accepted", "change.rejected"]
    assert {f"crossroads.{kind}.v1" for kind in wanted} <= set(told)


def test_order_intake_takes_all_that_settles_an_order_and_tells_what_comes_of_it() -> None:
    base, summary = WORKERS[order_intake.SERVICE]
    page = asyncapi_document(order_intake.SERVICE, base, summary)
    taken = ["create", "cancel", "request-accept", "request-reject", "receipt"]
    assert list(page["channels"][base]["messages"]) == [
        f"crossroads.order.{name}.v1" for name in taken
    ]
    sent = page["channels"][topics.SYNC]["messages"]
    for name in ("created", "requested", "canceled", "accepted", "received", "rejected", "failed"):
        assert f"crossroads.order.{name}.v1" in sent
        assert "payload" in page["components"]["messages"][f"crossroads.order.{name}.v1"]
