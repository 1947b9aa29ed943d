import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from services.gateway.board import AnswerBoard, Room
from services.gateway.problems import Problem
from services.kit.errors import DatabaseAway
from services.records.answers import TellableAnswer, Wanted

FOUND = TellableAnswer(True, "done", 200, b"{}")


def wanted(name: str) -> Wanted:
    return Wanted("t", name, b"f")


class Answers:
    """A database double: what may be told, and what was asked for."""

    def __init__(self) -> None:
        self.there: dict[Wanted, TellableAnswer] = {}
        self.asked: list[list[Wanted]] = []
        self.away = 0
        self.looked = asyncio.Event()

    async def look(self, asked: Sequence[Wanted]) -> list[tuple[Wanted, TellableAnswer]]:
        self.asked.append(list(asked))
        self.looked.set()
        if self.away:
            self.away -= 1
            raise DatabaseAway
        return [(each, self.there[each]) for each in asked if each in self.there]


@asynccontextmanager
async def running(answers: Answers) -> AsyncIterator[AnswerBoard]:
    board = AnswerBoard(answers.look)
    stopping = asyncio.Event()
    task = asyncio.create_task(board.run(stopping))
    try:
        yield board
    finally:
        stopping.set()
        await task


async def test_an_answer_that_is_there_already_is_found_without_an_announcement() -> None:
    answers = Answers()
    answers.there[wanted("a")] = FOUND
    async with running(answers) as board:
        assert await board.wait(wanted("a"), 5) == FOUND
        assert len(board) == 0


async def test_an_announcement_brings_everybodys_answers_with_one_look() -> None:
    answers = Answers()
    async with running(answers) as board:
        waiting = [asyncio.create_task(board.wait(wanted(name), 5)) for name in "abc"]
        await answers.looked.wait()
        answers.there = {wanted(name): FOUND for name in "abc"}
        before = len(answers.asked)
        board.published()
        assert await asyncio.gather(*waiting) == [FOUND] * 3
        assert len(answers.asked) == before + 1
        assert len(board) == 0


async def test_callers_with_the_same_command_share_one_place() -> None:
    answers = Answers()
    async with running(answers) as board:
        first = asyncio.create_task(board.wait(wanted("a"), 5))
        second = asyncio.create_task(board.wait(wanted("a"), 5))
        await answers.looked.wait()
        assert len(board) == 1
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        answers.there[wanted("a")] = FOUND
        board.published()
        assert await second == FOUND


async def test_a_caller_whose_time_is_over_leaves_nothing_behind() -> None:
    async with running(Answers()) as board:
        assert await board.wait(wanted("a"), 0.01) is None
        assert await board.wait(wanted("a"), 0) is None
        assert len(board) == 0


async def test_a_database_that_was_away_is_asked_again() -> None:
    answers = Answers()
    answers.there[wanted("a")] = FOUND
    answers.away = 1
    async with running(answers) as board:
        assert await board.wait(wanted("a"), 10) == FOUND


async def test_k32_who_does_not_wait_is_told_the_answer_that_is_there() -> None:
    answers = Answers()
    answers.there[wanted("a")] = FOUND
    async with running(answers) as board:
        assert await board.wait(wanted("a"), 0) == FOUND
        assert await board.wait(wanted("b"), 0) is None
        assert len(board) == 0


async def test_who_does_not_wait_is_let_go_by_a_database_that_is_away_and_by_the_end() -> None:
    answers = Answers()
    answers.away = 1
    async with running(answers) as board:
        assert await board.wait(wanted("a"), 0) is None
    begun = asyncio.Event()

    async def never(_: Sequence[Wanted]) -> list[tuple[Wanted, TellableAnswer]]:
        begun.set()
        await asyncio.Event().wait()
        return []

    board, stopping = AnswerBoard(never), asyncio.Event()
    task = asyncio.create_task(board.run(stopping))
    waiting = asyncio.create_task(board.wait(wanted("a"), 0))
    await begun.wait()
    stopping.set()
    assert await waiting is None
    await task


async def test_when_the_process_stops_everybody_is_let_go() -> None:
    answers = Answers()
    board = AnswerBoard(answers.look)
    stopping = asyncio.Event()
    task = asyncio.create_task(board.run(stopping))
    waiting = asyncio.create_task(board.wait(wanted("a"), 60))
    await answers.looked.wait()
    stopping.set()
    assert await waiting is None
    assert await board.wait(wanted("b"), 60) is None
    await task


async def test_what_nobody_foresaw_ends_the_board_and_not_only_a_look() -> None:
    async def broken(_: Sequence[Wanted]) -> list[tuple[Wanted, TellableAnswer]]:
        raise ValueError("broken")

    board = AnswerBoard(broken)
    task = asyncio.create_task(board.run(asyncio.Event()))
    assert await board.wait(wanted("a"), 60) is None
    with pytest.raises(ValueError, match="broken"):
        await task


def test_there_is_room_for_so_many_callers_and_bytes_and_no_more() -> None:
    room = Room(callers=2, size=100)
    with room.taken(60), room.taken(40):
        with pytest.raises(Problem) as caught, room.taken(0):
            pass
        assert caught.value.status == 503
        assert caught.value.headers["Retry-After"] == "1"
    with room.taken(100), pytest.raises(Problem), room.taken(1):
        pass
    assert (room.callers, room.size) == (0, 0)
