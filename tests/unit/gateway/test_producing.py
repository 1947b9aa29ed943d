"""What stands before the producer's client, with a client and connections made by hand."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import errors as kafka_errors
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import InitProducerIdRequest

from services.gateway.producing import _Guard

RECORDS = ProduceRequest(None, -1, 1000, [("orders", [(0, b"batch")])])
GIVE_ID = InitProducerIdRequest(None, 1000)


class Connection:
    """A connection to a broker of `cluster` that has `topics`."""

    def __init__(self, cluster: str, *topics: str) -> None:
        self.cluster = cluster
        self.topics: tuple[str, ...] = topics
        self.asked = 0
        self.open = True

    async def send(self, _: Any) -> Any:
        self.asked += 1
        topics: list[tuple[Any, ...]] = [(0, topic, False, []) for topic in self.topics]
        return SimpleNamespace(cluster_id=self.cluster, topics=topics)

    def connected(self) -> bool:
        return self.open


class Client:
    """Hands out `connection`; `sent` is what went through."""

    def __init__(self, connection: Connection) -> None:
        self.connection: Connection | None = connection
        self.cluster = SimpleNamespace(update_metadata=lambda _: None)
        self.sent: list[Any] = []

    async def _get_conn(self, _node: int) -> Connection | None:
        return self.connection

    async def send(self, _node: int, request: Any) -> str:
        self.sent.append(request)
        return "answer"


async def test_topics_are_asked_for_once_on_each_connection_before_its_first_records():
    first, second = Connection("a", "orders"), Connection("a", "orders")
    client = Client(first)
    guard = _Guard(client)
    assert [await guard.send(1, RECORDS) for _ in range(3)] == ["answer"] * 3
    client.connection = second
    await guard.send(1, RECORDS)
    assert (first.asked, second.asked, len(client.sent)) == (1, 1, 4)


async def test_no_records_go_where_their_topic_is_missing_until_it_is_there():
    connection = Connection("a")
    client = Client(connection)
    guard = _Guard(client)
    with pytest.raises(kafka_errors.UnknownTopicOrPartitionError) as raised:
        await guard.send(1, RECORDS)
    assert raised.value.retriable
    assert client.sent == []
    connection.topics = ("orders",)
    await guard.send(1, RECORDS)
    assert client.sent == [RECORDS]


@pytest.mark.parametrize("how", ["none", "lost meanwhile"])
async def test_no_records_go_without_a_connection(how):
    connection = Connection("a", "orders")
    connection.open = False
    client = Client(connection)
    if how == "none":
        client.connection = None
    with pytest.raises(kafka_errors.NodeNotReadyError):
        await _Guard(client).send(1, RECORDS)
    assert client.sent == []


async def test_a_producer_id_is_not_taken_along_to_another_cluster():
    client = Client(Connection("a", "orders"))
    guard = _Guard(client)
    await guard.send(1, GIVE_ID)
    await guard.send(1, RECORDS)
    client.connection = Connection("b", "orders")
    with pytest.raises(kafka_errors.UnknownProducerId) as raised:
        await guard.send(1, RECORDS)
    assert not raised.value.retriable
    assert client.sent == [GIVE_ID, RECORDS]


async def test_without_a_producer_id_another_cluster_is_as_good():
    client = Client(Connection("a", "orders"))
    guard = _Guard(client)
    await guard.send(1, RECORDS)
    client.connection = Connection("b", "orders")
    await guard.send(1, RECORDS)
    assert len(client.sent) == 2
