"""A batch nobody can tell about: `doctor` finds it, and an operator's word settles it."""

from typing import Any

import asyncpg
import orjson
import pytest

from services.relay.session import LockSession
from services.relay.shards import Shards
from tests.integration.conftest import Invoke
from tests.integration.relay_world import final, left, put, sync, value_of

pytestmark = pytest.mark.one_broker
CAUSE = b"0123456789abcdef"


@pytest.fixture
def invoke(invoke: Invoke, kafka: str, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """With the broker."""
    monkeypatch.setenv("CROSSROADS_KAFKA_BOOTSTRAP_SERVERS", kafka)
    return invoke


@pytest.fixture
async def left_behind(fresh_database: str) -> list[int]:
    """The rows of a batch of shard 2, stored some minutes ago; the second one is parked."""
    rows = await put(
        fresh_database, [sync("s.acme", "order", 1, CAUSE), final("r.acme", "order", CAUSE)]
    )
    connection = await asyncpg.connect(fresh_database)
    columns = "id, stored_at, shard, kind, told_before, topic, stream, cause, key, headers, value"
    await connection.execute(
        f"WITH moved AS (DELETE FROM outbox WHERE id = {rows[1]} RETURNING *) "
        f"INSERT INTO outbox_parked ({columns}) SELECT {columns} FROM moved"
    )
    await connection.execute(
        "INSERT INTO relay_batches (shard, batch_no, cluster_id, row_ids, stored_at) "
        "VALUES (2, 7, 'gone', $1, now() - interval '5 minutes')",
        rows,
    )
    await connection.close()
    return rows


async def findings(invoke: Invoke) -> list[Any]:
    done = await invoke("doctor", "--json")
    return [each for each in orjson.loads(done.stdout)["findings"] if each["check"] == "batches"]


@pytest.mark.parametrize(("word", "remain"), [("--published", 0), ("--not-published", 2)])
async def test_an_operators_word_settles_it_and_is_kept(
    fresh_database: str, invoke: Invoke, left_behind: list[int], word: str, remain: int
) -> None:
    (finding,) = await findings(invoke)
    assert "batch 7 of shard 2, 2 records, is not settled" in finding["detail"]
    assert finding["remedy"].endswith("crossroads doctor settle-batch 2")
    shown = orjson.loads((await invoke("doctor", "settle-batch", "2", "--json")).stdout)
    assert shown["records"] == [
        {"topic": "s.acme", "ce_id": "order-1", "key": "order"},
        {"topic": "r.acme", "ce_id": f"final-{CAUSE.hex()}", "key": "order"},
    ]
    assert await left(fresh_database) == len(left_behind)

    done = await invoke("doctor", "settle-batch", "2", word, "--reason", "looked at both topics")
    assert done.exit_code == 0, done.stderr
    assert await left(fresh_database) == remain
    (fine,) = await findings(invoke)
    assert fine["state"] == "ok"
    message = await value_of(
        fresh_database, "SELECT entry -> 'detail' ->> 'message' FROM log_entries"
    )
    assert message.startswith("Batch 7 of shard 2, 2 records, was ")
    assert message.endswith("looked at both topics")
    again = await invoke("doctor", "settle-batch", "2", word, "--reason", "again")
    assert again.exit_code == 1
    assert "Nothing is left of the last batch of shard 2" in again.stderr


async def test_while_a_relay_owns_the_shard_the_word_is_its_own(
    fresh_database: str, invoke: Invoke, left_behind: list[int]
) -> None:
    async with LockSession(fresh_database, lambda: None, "relay") as session:
        async with session.use() as connection:
            owner = Shards()
            await owner.announce(connection)
            await owner.rebalance(connection)
        refused = await invoke("doctor", "settle-batch", "2", "--published", "--reason", "sure")
    assert refused.exit_code == 1
    assert "A relay owns shard 2: it settles its batches itself." in refused.stderr
    assert await left(fresh_database) == len(left_behind)
