"""The driver's side of the story: progress in a batch, behind a gap that closes, before its order.

Told like the others (kill_points.py), with status-update as a third process.
"""

import time

from tests.acceptance.kill_points import INTAKE, RELAY, STATUS, Scene
from tests.acceptance.kill_points_steps import (
    PROGRESS,
    PROGRESS_TURN,
    BatchSteps,
    Point,
    TakeOverSteps,
    TurnSteps,
)
from tests.acceptance.ledger import Expected
from tests.acceptance.wire import command_headers
from tests.acceptance.words import Order, Step

STATUSES = 2


async def tell_progress(scene: Scene, chapter: str, point: Point | None = None) -> list[str] | None:
    """Such a story, with a fault at a point of the chapter; what `Scene.tell` returns."""
    if chapter == PROGRESS:
        return await _batch(scene, point)
    if chapter == PROGRESS_TURN:
        return await _turn(scene, point)
    return await _take_over(scene, point)


async def _batch(scene: Scene, point: Point | None) -> list[str] | None:
    """One batch: progress on an order that takes it, on one that waits, on one nobody knows."""
    await scene.only(INTAKE, STATUS, RELAY)
    arm = scene.begin(STATUS, point)
    plain, late = scene.orders()
    await scene.produce(plain, late)
    await scene.taken([order.command_id for order in (*plain, late)])
    early = _early(scene)
    ways = [(order, _way(scene, order)) for order in (plain[0], late, early)]
    arm(BatchSteps(scene.companies.tag))
    await _say(scene, ways, broken=True)
    await scene.taken([step.command_id for _, steps in ways for step in steps])
    await scene.create(early)
    await scene.map_late()
    return await scene.end(STATUS, point)


async def _turn(scene: Scene, point: Point | None) -> list[str] | None:
    """The gap closes: the order is woken, and it and its way have their turn (X05, K42)."""
    await scene.only(INTAKE, STATUS, RELAY)
    arm = scene.begin(STATUS, point)
    plain, late = scene.orders()
    await scene.produce(plain, late)
    await scene.taken([order.command_id for order in (*plain, late)])
    steps = _way(scene, late)
    await _say(scene, [(late, steps)])
    await scene.taken([step.command_id for step in steps])
    # Whoever is up may take the turn.
    await scene.only(STATUS, RELAY)
    arm(TurnSteps())
    await scene.map_late()
    return await scene.end(STATUS, point)


async def _take_over(scene: Scene, point: Point | None) -> list[str] | None:
    """Progress waits for a number; the batch that creates the order takes it over (K42)."""
    await scene.only(INTAKE, STATUS, RELAY)
    arm = scene.begin(INTAKE, point)
    early = _early(scene)
    steps = _way(scene, early)
    await _say(scene, [(early, steps)])
    await scene.taken([step.command_id for step in steps])
    await scene.only(INTAKE, RELAY)
    arm(TakeOverSteps(scene.companies.tag))
    await scene.create(early)
    return await scene.end(INTAKE, point)


def _early(scene: Scene) -> Order:
    order = scene.companies.order()
    scene.ledger.expect(Expected(order.command_id, "done", None, time.monotonic(), order))
    return order


def _way(scene: Scene, order: Order) -> list[Step]:
    """Statuses, a bill and a drop; expected to be told in this order."""
    steps = scene.companies.steps(order, statuses=STATUSES)
    for step in steps:
        scene.ledger.expect_step(order.number, step, time.monotonic())
    return steps


async def _say(scene: Scene, ways: list[tuple[Order, list[Step]]], *, broken: bool = False) -> None:
    """One produced batch; a further copy of its first step, and a record that cannot be read."""
    batch = scene.producer.create_batch()
    companies = scene.companies

    def append(id_: str, operation: str, key: bytes, value: bytes) -> None:
        headers = command_headers(id_, operation, partner=companies.origin)
        batch.append(key=key, value=value, timestamp=None, headers=headers)

    said = [(step, order.number.encode()) for order, steps in ways for step in steps]
    for step, key in [*said, said[0]]:
        append(step.command_id, step.operation, key, step.body)
    if broken:
        key = f"{companies.tag}-broken-step-{scene.stories}".encode()
        scene.ledger.broken[key] = "not-json"
        append(f"create-{key.decode()}", "order.update-status", key, b'{"cut')
    batch.close()
    topic = f"crossroads.progress.{companies.destination}"
    await (await scene.producer.send_batch(batch, topic, partition=0))
