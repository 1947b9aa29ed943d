"""store(): what the relay's settled mark rests on."""

import asyncpg

from services.kit import outbox
from services.kit.outbox import shard_of, store, unpack_headers
from tests.integration.relay_world import final, sync, until, value_of


async def test_ids_rise_with_the_rows_and_columns_hold_what_was_given(fresh_database: str) -> None:
    connection = await asyncpg.connect(fresh_database)
    rows = [sync("t", f"order-{n}", n, b"c" * 16, accepted_ms=n) for n in range(300)]
    rows.append(final("r", "order-1", b"c" * 16, after_id=7, told_before=True))
    async with connection.transaction():
        ids = await store(connection, rows)
    assert ids == sorted(set(ids))
    stored = await connection.fetch("SELECT * FROM outbox ORDER BY id")
    assert [record["id"] for record in stored] == ids
    for record, row in zip(stored, rows, strict=True):
        assert record["shard"] == shard_of(row.shard_key, 4)
        assert unpack_headers(record["headers"]) == row.headers
        names = ("kind", "topic", "key", "value", "stream", "cause", "after_id", "accepted_ms")
        assert [record[each] for each in names] == [getattr(row, each) for each in names]
    assert stored[-1]["told_before"] is True
    await connection.close()


async def test_a_transaction_has_its_xid_before_it_draws_the_first_id(fresh_database: str) -> None:
    connection = await asyncpg.connect(fresh_database)
    transaction = connection.transaction()
    await transaction.start()
    assert await connection.fetchval("SELECT pg_current_xact_id_if_assigned()") is None
    await outbox.draw(connection, 1)
    assert await connection.fetchval("SELECT pg_current_xact_id_if_assigned()") is not None
    await transaction.rollback()
    statement = outbox._DRAW.replace("$1", "5")
    lines = await connection.fetch(f"EXPLAIN (VERBOSE) {statement}")
    plan = "\n".join(line[0] for line in lines)
    # nextval is projected above the join, hence after the scan that takes the xid.
    assert plan.index("nextval") < plan.index("CTE Scan on started")
    await connection.close()


async def test_the_sequence_hands_out_one_id_at_a_time(fresh_database: str) -> None:
    cache = await value_of(
        fresh_database, "SELECT cache_size FROM pg_sequences WHERE sequencename = 'outbox_id_seq'"
    )
    assert cache == 1


async def test_new_rows_are_announced_once_a_store_when_it_commits(fresh_database: str) -> None:
    listener = await asyncpg.connect(fresh_database)
    heard: list[object] = []
    await listener.add_listener("crossroads_outbox", lambda *message: heard.append(message))
    writer = await asyncpg.connect(fresh_database)
    async with writer.transaction():
        await store(writer, [sync("t", f"order-{n}", n) for n in range(50)])
        await listener.execute("SELECT 1")
        assert heard == []

    async def told() -> bool:
        await listener.execute("SELECT 1")
        return bool(heard)

    await until(told)
    assert len(heard) == 1
    await writer.close()
    await listener.close()


async def test_nothing_to_store_is_no_statement_and_no_xid(fresh_database: str) -> None:
    connection = await asyncpg.connect(fresh_database)
    async with connection.transaction():
        assert await store(connection, []) == []
        assert await connection.fetchval("SELECT pg_current_xact_id_if_assigned()") is None
    await connection.close()
