"""Stored pictures: who reads them, what is kept, what is forgotten (X09, guarantee 6)."""

import asyncio
import hashlib
import tracemalloc
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from services.commands.upkeep import Upkeep
from services.domain.world import Blob
from services.kit.database import Pool, Session, open_pool, open_session, transaction
from services.records import blobs

CONTENT = b"%PDF-1.7 " + bytes(range(256)) * 40


@pytest.fixture
async def pool(fresh_database: str) -> AsyncIterator[Pool]:
    async with await open_pool(fresh_database, application_name="test", max_size=4) as opened:
        yield opened


@pytest.fixture
async def own(fresh_database: str) -> AsyncIterator[Session]:
    session = await open_session(fresh_database, application_name="test blobs")
    yield session
    await session.close()


def picture(blob_id: str, tenant_id: str = "mine", content: bytes = CONTENT) -> Blob:
    digest = hashlib.sha256(content).hexdigest()
    return Blob(blob_id, tenant_id, "application/pdf", len(content), digest)


async def stored(pool: Pool, *ids: str, tenant_id: str = "mine", content: bytes = CONTENT) -> None:
    async with transaction(pool) as connection:
        for blob_id in ids:
            await blobs.store(connection, picture(blob_id, tenant_id, content), content)


async def order(pool: Pool, order_id: str, origin: str, destination: str) -> None:
    await pool.execute(
        "INSERT INTO orders (id, origin_id, destination_id, origin_number, command_id,"
        " correlation_id, mapping, delivery, receipt, progress, origin_document, accepted_at)"
        " VALUES ($1, $2, $3, $1, 'c', 'c', 'destination_mapped', 'sent', 'none', 'no_progress',"
        " '{}', now())",
        order_id,
        origin,
        destination,
    )


async def older(pool: Pool, days: int) -> None:
    await pool.execute("UPDATE blobs SET created_at = created_at - $1::interval", timedelta(days))


async def left(pool: Pool) -> set[str]:
    return {row["id"] for row in await pool.fetch("SELECT id FROM blobs")}


async def test_what_was_stored_is_found_and_comes_back_in_pieces(pool: Pool) -> None:
    await stored(pool, "a", "b")
    async with pool.acquire() as connection:
        found = await blobs.load(connection, ["b", "a", "nowhere"])
        assert found == {"a": picture("a"), "b": picture("b")}
        pieces = [
            await blobs.STORE.get(connection, "a", start, 1000)
            for start in range(0, len(CONTENT) + 1000, 1000)
        ]
    assert b"".join(pieces) == CONTENT
    assert pieces[-1] == b""
    async with pool.acquire() as connection:
        assert await blobs.STORE.get(connection, "nowhere", 0, 10) == b""
        assert await blobs.load(connection, []) == {}


@pytest.mark.parametrize("content", [b"%PDF-", CONTENT, b"\xff\xd8\xff" + b"\x00\\\n" * 700_000])
async def test_every_byte_is_kept(pool: Pool, content: bytes) -> None:
    await stored(pool, "a", content=content)
    assert await pool.fetchval("SELECT content FROM blobs") == content


async def test_a_picture_is_stored_and_read_without_ever_being_held_whole(pool: Pool) -> None:
    """10 MiB from a stranger must not cost the gateway 10 MiB."""
    whole = hashlib.sha256()
    for _ in range(160):
        whole.update(b"x" * 65536)
    blob = Blob("a", "mine", "application/pdf", 160 * 65536, whole.hexdigest())

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(160):
            yield b"x" * 65536

    read, most = hashlib.sha256(), 0
    tracemalloc.start()
    try:
        async with transaction(pool) as connection:
            await blobs.STORE.put(connection, blob, pieces)
        for start in range(0, blob.size, 65536):
            async with pool.acquire() as connection:
                read.update(await blobs.STORE.get(connection, "a", start, 65536))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert read.hexdigest() == blob.sha256
    assert most < 4 * 1024 * 1024


async def test_the_same_again_is_no_error_and_keeps_it_for_longer(pool: Pool, own: Session) -> None:
    await stored(pool, "a")
    await older(pool, 40)
    await stored(pool, "a")
    assert await blobs.forget_page(own) == 0
    assert await left(pool) == {"a"}


async def test_two_store_the_same_at_once_and_both_are_content(pool: Pool) -> None:
    async with pool.acquire() as one, pool.acquire() as two:
        first = one.transaction()
        await first.start()
        await blobs.store(one, picture("a"), CONTENT)

        async def second() -> None:
            async with two.transaction():
                await blobs.store(two, picture("a"), CONTENT)

        waits = asyncio.create_task(second())
        done, _ = await asyncio.wait({waits}, timeout=0.3)
        assert not done
        await first.commit()
        await waits
    assert await left(pool) == {"a"}


async def test_bytes_that_are_not_as_many_as_said_store_nothing(pool: Pool) -> None:
    for wrong in (CONTENT[:-1], CONTENT + b"!"):
        with pytest.raises(ValueError, match="not 10249"):
            async with transaction(pool) as connection:
                await blobs.store(connection, picture("a"), wrong)
    assert await left(pool) == set()


async def test_it_is_read_by_its_owner_and_by_both_tenants_of_its_order_alone(pool: Pool) -> None:
    """Guarantee 6: for anybody else it is as if it did not exist."""
    await stored(pool, "a", "b")
    await order(pool, "o1", "mine", "theirs")
    await order(pool, "o2", "theirs", "third")
    async with transaction(pool) as connection:
        await blobs.link(connection, [("a", "o1"), ("a", "o1")])
        await blobs.link(connection, [("a", "o1")])
        await blobs.link(connection, [])
        assert await blobs.readable(connection, ["mine"], "b") == picture("b")
        for reader in ("mine", "theirs"):
            assert await blobs.readable(connection, [reader], "a") == picture("a")
        for readers in (["third"], ["theirs2"], []):
            assert await blobs.readable(connection, readers, "a") is None
        assert await blobs.readable(connection, ["theirs", "third"], "b") is None
        assert await blobs.readable(connection, ["mine"], "nowhere") is None


async def test_a_link_needs_a_stored_picture(pool: Pool) -> None:
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        async with transaction(pool) as connection:
            await blobs.link(connection, [("nowhere", "o1")])


async def test_only_what_no_order_refers_to_is_forgotten_after_its_time(
    pool: Pool, own: Session
) -> None:
    await stored(pool, "linked", "old")
    async with transaction(pool) as connection:
        await blobs.link(connection, [("linked", "o1")])
    await older(pool, 29)
    assert await blobs.forget_page(own) == 0
    await older(pool, 2)
    await stored(pool, "young")
    assert await blobs.forget_page(own) == 1
    assert await left(pool) == {"linked", "young"}


async def test_upkeep_forgets_them_page_by_page(pool: Pool, fresh_database: str) -> None:
    await stored(pool, *(f"p{n}" for n in range(205)), content=b"%PDF-")
    await older(pool, 31)
    await stored(pool, "p7", content=b"%PDF-")
    assert (await Upkeep(fresh_database).once()).pictures == 204
    assert await left(pool) == {"p7"}
    assert (await Upkeep(fresh_database).once()).pictures == 0


async def test_who_names_an_old_picture_finds_it_at_its_turn(pool: Pool, own: Session) -> None:
    """K42: a command may wait with it in a lane, which ends by no time."""
    await stored(pool, "a")
    await older(pool, 40)
    async with transaction(pool) as connection:
        assert await blobs.load(connection, ["a"])
        assert await blobs.forget_page(own) == 0
        await connection.execute(
            "INSERT INTO lane_commands (order_id, tenant_id, command_id, operation, reason, record)"
            " VALUES ('o1', 'mine', 'c', 'order.save-bol-image', 'mapping.gap', '')"
        )
    assert await blobs.forget_page(own) == 0
    await older(pool, 400)
    assert await blobs.forget_page(own) == 0
    await pool.execute("DELETE FROM lane_commands")
    assert await blobs.forget_page(own) == 1
