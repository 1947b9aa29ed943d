"""The topic catalogue against the contract."""

from typing import Any

import pytest

from schemas import topics


def test_the_topics_without_tenant_are_the_input_the_dead_letters_and_operators_results() -> None:
    made = {topic.name: topic for topic in topics.base_topics()}
    assert set(made) == {
        "crossroads.orders",
        "crossroads.progress",
        "crossroads.changes",
        "crossroads.reference",
        "crossroads.dead-letter",
        "crossroads.results.operator",
    }
    assert all(made[base].partitions == 12 for base in topics.input_bases())


def test_a_tenant_has_six_topics_with_the_partitions_of_its_upsert() -> None:
    assert {topic.name: topic.partitions for topic in topics.tenant_topics("acme", 7)} == {
        f"crossroads.{base}.acme": 7
        for base in ("orders", "progress", "changes", "reference", "sync", "results")
    }
    assert {topic.partitions for topic in topics.tenant_topics("acme")} == {3}


def test_input_keeps_the_brokers_time_and_takes_2_mib_for_7_days() -> None:
    (orders, *_) = topics.base_topics()
    assert orders.configs == {
        "cleanup.policy": "delete",
        "retention.ms": "604800000",
        "max.message.bytes": "2097152",
        "message.timestamp.type": "LogAppendTime",
    }


@pytest.mark.parametrize(("base", "days"), [("sync", 7), ("results", 7), ("dead-letter", 30)])
def test_what_the_hub_writes_takes_8_mib(base: str, days: int) -> None:
    entry = topics.catalogue().bases[f"crossroads.{base}"]
    assert (entry.max_message_bytes, entry.retention_days) == (8 * 1024 * 1024, days)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("crossroads.orders", ("crossroads.orders", None)),
        ("crossroads.orders.acme", ("crossroads.orders", "acme")),
        ("crossroads.sync.acme-2", ("crossroads.sync", "acme-2")),
        ("crossroads.results.operator", ("crossroads.results", "operator")),
        ("crossroads.dead-letter", ("crossroads.dead-letter", None)),
        ("crossroads.dead-letter.acme", None),
        ("crossroads.sync", None),
        ("crossroads.orders.ACME", None),
        ("crossroads.orders.a", None),
        ("crossroads.orders.acme.x", None),
        ("other.orders.acme", None),
        ("crossroads", None),
        ("", None),
    ],
)
def test_a_topics_name_gives_its_base_and_its_tenant(name: str, expected: Any) -> None:
    assert topics.split_topic(name) == expected


def test_names_made_are_names_split() -> None:
    assert topics.split_topic(topics.input_topic(topics.CHANGES, "acme")) == (
        topics.CHANGES,
        "acme",
    )
    assert topics.split_topic(topics.sync_topic("acme")) == (topics.SYNC, "acme")
    assert topics.split_topic(topics.results_topic("acme")) == (topics.RESULTS, "acme")


def test_no_type_is_carried_by_two_bases() -> None:
    carried = [kind for base in topics.catalogue().bases for kind in topics.types_of(base)]
    assert len(set(carried)) == len(carried)
    assert topics.topic_of("crossroads.order.create.v1") == topics.ORDERS
    assert topics.topic_of("crossroads.order.create.v2") is None
