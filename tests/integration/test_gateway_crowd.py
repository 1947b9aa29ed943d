"""Ten thousand callers at once: bounded memory, one query for all of them."""

import asyncio
from collections.abc import Sequence

import psutil

from services.gateway.board import AnswerBoard
from services.gateway.hub import look_in
from services.kit.database import open_pool
from services.records.answers import TellableAnswer, Wanted

CROWD = 10_000
# Bytes for each waiting caller, with room to spare; bodies are bounded by Room.
EACH = 16 * 1024


async def test_ten_thousand_callers_wait_in_little_memory_and_are_all_answered(
    fresh_database: str,
) -> None:
    stopping = asyncio.Event()
    wanted = [Wanted("t", f"command-{i}", i.to_bytes(32, "big")) for i in range(CROWD)]
    looks: list[int] = []
    async with await open_pool(fresh_database, application_name="test", max_size=2) as pool:
        look = look_in(pool)

        async def counted(asked: Sequence[Wanted]) -> list[tuple[Wanted, TellableAnswer]]:
            looks.append(len(asked))
            return await look(asked)

        board = AnswerBoard(counted)
        running = asyncio.create_task(board.run(stopping))
        before = psutil.Process().memory_info().rss
        callers = [asyncio.create_task(board.wait(each, 60)) for each in wanted]
        await asyncio.sleep(0)
        assert len(board) == CROWD
        assert psutil.Process().memory_info().rss - before < CROWD * EACH
        await pool.execute(
            "INSERT INTO commands (tenant_id, command_id, fingerprint, operation, outcome,"
            " http_status, body, result_id)"
            " SELECT 't', name, print, 'order.create', 'done', 200, '{}', 0"
            " FROM unnest($1::text[], $2::bytea[]) AS new (name, print)",
            [each.command_id for each in wanted],
            [each.fingerprint for each in wanted],
        )
        board.published()
        answers = await asyncio.gather(*callers)
        assert all(answer is not None and answer.fits for answer in answers)
        assert len(looks) <= 3
        assert len(board) == 0
        stopping.set()
        await running
