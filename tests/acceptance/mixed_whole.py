"""One story of many orders: what is said before, behind and after a gap, and how they end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

from tests.acceptance.course import Course, Said
from tests.acceptance.mixed import Mixed, mixed
from tests.acceptance.stack import Stack

VICTIMS = ("order-intake", "status-update", "change-acceptance", "relay", "gateway")
LATE = 1
SENDERS = 24
# An order in three is told of before it is there, one in two waits for a mapping.
EARLY_SHARE, LATE_SHARE, BACK_SHARE = 0.35, 0.5, 0.4


async def whole(
    stack: Stack, *, orders: int, words: int, seed: int, killed_behind: Sequence[str] = ()
) -> None:
    """X05, X06, X08, K42: each command ends once, and what is told of it comes once, in sequence.

    Half of the orders are said word by word, and the model knows all that must come; of the others
    everything is said at once while the gap is closed. Each of VICTIMS is killed meanwhile, and
    `killed_behind` before, while all that is said waits.
    """
    async with mixed(stack, seed) as running:
        talk, rng = running.talk, running.talk.rng
        drawn = [
            talk.course(
                late=LATE if rng.random() < LATE_SHARE else None, back=rng.random() < BACK_SHARE
            )
            for _ in range(orders)
        ]
        in_turn, at_once = drawn[: orders // 2], drawn[orders // 2 :]
        for course in drawn:
            running.ledger.follow(course, at_once=course in at_once)

        async def before(course: Course) -> None:
            await running.in_turn(course, [*_early(running, course), None])
            behind = talk.draw(course, words)
            if rng.random() < 0.15:
                behind.insert(rng.randrange(words), talk.say(course, "order.cancel"))
            await running.in_turn(course, behind)

        async def after(course: Course) -> None:
            said = [*_decision(running, course), *talk.draw(course, words)]
            if course.order.number in running.ledger.at_once:
                said += _ends(running, course)
                rng.shuffle(said)
                await running.at_once(course, said)
            else:
                if rng.random() < 0.5:
                    said.reverse()
                last = talk.draw(course, 2)
                await running.in_turn(course, [*said, *_ends(running, course), *last])

        every = max(8, orders * words // 8)
        async with asyncio.TaskGroup() as group:
            group.create_task(running.kill_each(killed_behind, running.heard_of, every))
            group.create_task(_all_of(in_turn, before))
            group.create_task(_all_of(at_once, running.begin_at_once))
        for course in in_turn:
            course.opened()
        async with asyncio.TaskGroup() as group:
            group.create_task(running.kill_each(VICTIMS, running.heard_of, every))
            group.create_task(running.map_late(LATE))
            group.create_task(_all_of([*at_once, *in_turn], after))
        await _all_of(at_once, running.decided)
        await running.judge()
        running.tell("mixed")


async def _all_of(courses: Iterable[Course], work: Callable[[Course], Awaitable[None]]) -> None:
    """Do it for every course, several side by side."""
    left = iter(courses)

    async def some() -> None:
        for course in left:
            await work(course)

    async with asyncio.TaskGroup() as group:
        for _ in range(SENDERS):
            group.create_task(some())


def _early(running: Mixed, course: Course) -> list[Said]:
    """What is said before the order is there: a few words, now and then a cancel among them."""
    rng = running.talk.rng
    if rng.random() > EARLY_SHARE:
        return []
    said = running.talk.draw(course, rng.randrange(1, 4))
    if rng.random() < 0.25:
        said.insert(rng.randrange(len(said)), running.talk.say(course, "order.cancel"))
    return said


def _ends(running: Mixed, course: Course) -> list[Said]:
    """How the order ends, if it does: complete, canceled, or both, by either side."""
    drawn = running.talk.rng.random()
    cancel = running.talk.say(course, "order.cancel")
    complete = running.talk.complete(course)
    if drawn < 0.3:
        return [complete]
    if drawn < 0.6:
        return [cancel]
    return [complete, cancel] if drawn < 0.75 else []


def _decision(running: Mixed, course: Course) -> list[Said]:
    """What its destination decides of an order that asks for it; mostly it accepts (X06)."""
    if not course.manual:
        return []
    verb = running.talk.rng.choices(("accept", "reject"), (5, 1))[0]
    return [running.talk.say(course, f"order.request-{verb}")]
