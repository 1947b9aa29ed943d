"""The table of operations agrees with the topics, the scopes and the documents."""

from schemas import topics
from schemas.documents import DOCUMENTS
from schemas.operations import OPERATIONS, SCOPES, operation, operation_of_type


def test_the_commands_are_exactly_the_types_of_the_input_topics() -> None:
    commands = {one.type: one.base for one in OPERATIONS if one.type}
    carried = {kind: base for base in topics.input_bases() for kind in topics.types_of(base)}
    assert commands == carried


def test_the_results_topic_carries_a_result_of_every_command() -> None:
    results = {one.result_type for one in OPERATIONS if one.result_type}
    # A record whose type is illegible is answered, too.
    assert {*results, "crossroads.record.result.v1"} == set(topics.types_of(topics.RESULTS))


def test_names_and_routes_are_unique_and_scopes_are_known() -> None:
    assert len({one.name for one in OPERATIONS}) == len(OPERATIONS)
    assert len({(one.method, one.path) for one in OPERATIONS}) == len(OPERATIONS)
    assert {one.scope for one in OPERATIONS} <= set(SCOPES)
    assert all(one.path.startswith("/v1/") for one in OPERATIONS)


def test_an_operation_is_found_by_name_and_by_type() -> None:
    assert operation("order.create").type == "crossroads.order.create.v1"
    assert operation_of_type("crossroads.order.create.v1") is operation("order.create")
    assert operation_of_type("crossroads.order.get.v1") is None
    assert operation("change.accept").result_type == "crossroads.change.accept.result.v1"


def test_a_commands_document_is_published_under_the_commands_name() -> None:
    published = {document.name: document.adapter for document in DOCUMENTS}
    for one in OPERATIONS:
        if one.document is not None:
            assert published[f"{one.name}.v1"] is one.document
