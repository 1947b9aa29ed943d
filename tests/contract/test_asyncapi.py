"""The AsyncAPI pages of the workers: every record they take and send, each with its shape."""

from typing import Any

import orjson
import pytest
from jsonschema import Draft202012Validator

from schemas import topics
from schemas.documents import DOCUMENTS
from schemas.generate import json_schema
from schemas.operations import operation_of_type
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


@pytest.mark.parametrize("service", WORKERS)
def test_every_record_a_worker_takes_and_sends_is_there(service: str) -> None:
    """X11: what its topics may carry, and a result for each command and for what is illegible."""
    base, summary = WORKERS[service]
    page = asyncapi_document(service, base, summary)
    channels = {name: list(each["messages"]) for name, each in page["channels"].items()}
    taken = topics.types_of(base)
    assert channels[base] == channels[f"{base}.tenant"] == list(taken)
    results = [operation_of_type(kind).result_type for kind in taken]  # type: ignore[union-attr]
    assert channels[topics.RESULTS] == [*results, "crossroads.record.result.v1"]
    assert set(channels[topics.RESULTS]) <= set(topics.types_of(topics.RESULTS))
    assert channels[topics.SYNC] == list(topics.types_of(topics.SYNC))
    assert channels[topics.DEAD_LETTER] == ["dead-letter"]
    receives = {each["channel"]["$ref"] for each in page["operations"].values()}
    assert receives == {f"#/channels/{name}" for name in channels}


def test_every_record_that_can_be_read_has_a_payload_and_an_example_of_it(
    page: dict[str, Any],
) -> None:
    for kind, message in page["components"]["messages"].items():
        if kind == "dead-letter":
            assert "payload" not in message
            continue
        name = message["payload"]["$ref"].rpartition("/")[2]
        [document] = [each for each in DOCUMENTS if each.name == name]
        validator = Draft202012Validator(json_schema(document))
        assert message["examples"]
        assert all(validator.is_valid(each["payload"]) for each in message["examples"])


def test_headers_are_those_a_record_has(page: dict[str, Any]) -> None:
    """What the hub sends says whose, for whom, because of what; sync records their place (K43)."""
    messages = page["components"]["messages"]

    def wanted(kind: str) -> set[str]:
        return set(messages[kind]["headers"]["required"])

    sent = list(page["channels"][topics.SYNC]["messages"])
    assert all({"ce_sequence", "ce_subject", "ce_causationid"} <= wanted(kind) for kind in sent)
    for kind in page["channels"][topics.RESULTS]["messages"]:
        assert {"ce_time", "ce_origintenant", "ce_desttenant"} <= wanted(kind)
        assert "ce_sequence" not in messages[kind]["headers"]["properties"]
    [taken, *_] = [
        each["messages"] for each in page["channels"].values() if "{tenant}" not in each["address"]
    ]
    for kind in taken:
        assert wanted(kind) == {"ce_specversion", "ce_id", "ce_source", "ce_type"}
    assert "x-dead-letter-reason" in wanted("dead-letter")


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
    answered = [kind.removesuffix(".v1") + ".result.v1" for kind in taken]
    assert list(results) == [*answered, "crossroads.record.result.v1"]
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
