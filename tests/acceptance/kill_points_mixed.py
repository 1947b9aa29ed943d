"""Changes by both sides, and orders whose fate is settled while something waits in their lanes.

Told like the others (kill_points.py); what must come of each command is the model's to say
(course.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from tests.acceptance.course import Course, Said
from tests.acceptance.kill_points import CHANGE, INTAKE, RELAY, STATUS, Scene
from tests.acceptance.kill_points_steps import CHANGES, BatchSteps, Point, TakeOverSteps
from tests.acceptance.wire import command_headers

# What is said of a sent order in one batch, by its origin (True) or its destination.
ANSWERS = (
    ("order.update", True),
    ("change.propose", False),
    ("change.accept", True),
    ("order.update", False),
    ("order.update", True),
    ("change.accept", True),
    ("change.propose", True),
    ("change.reject", False),
)


async def tell_mixed(scene: Scene, chapter: str, point: Point | None = None) -> list[str] | None:
    """Such a story, with a fault at a point of the chapter; what `Scene.tell` returns."""
    if chapter == CHANGES:
        return await _changes(scene, point)
    return await _settling(scene, point)


async def _changes(scene: Scene, point: Point | None) -> list[str] | None:
    """One batch: updates, proposals, answers, on an order that takes them, on one that waits."""
    await scene.only(INTAKE, CHANGE, RELAY)
    arm = scene.begin(CHANGE, point)
    sent, late = _course(scene), _course(scene, late=True)
    await _create(scene, sent, late)
    said = [_say(scene, sent, *each) for each in ANSWERS]
    said += [_say(scene, late, *each) for each in ANSWERS[:3]]
    arm(BatchSteps(scene.companies.tag))
    await _produce(scene, "changes", [*said, said[0]])
    await scene.taken([each.id for each in said])
    late.opened()
    await scene.map_late()
    return await scene.end(CHANGE, point)


async def _settling(scene: Scene, point: Point | None) -> list[str] | None:
    """One batch: a parked, a requested and a sent order canceled, requests accepted and rejected.

    Of all but the sent one something waits in the lane (X06, X08).
    """
    await scene.only(INTAKE, STATUS, RELAY)
    arm = scene.begin(INTAKE, point)
    parked, sent = _course(scene, late=True), _course(scene)
    accepted, rejected, taken_back = (_course(scene, back=True) for _ in range(3))
    waiting = (parked, accepted, rejected, taken_back)
    await _create(scene, *waiting, sent)
    behind = [
        _say(scene, course, operation, of_origin)
        for course in waiting
        for operation, of_origin in (("order.update-status", False), ("order.save-bol", True))
    ]
    await _produce(scene, "progress", behind)
    await scene.taken([each.id for each in behind])
    # Whoever is up may take the turn.
    await scene.only(INTAKE, RELAY)
    said = [
        _say(scene, parked, "order.cancel", True),
        _say(scene, accepted, "order.request-accept", False),
        _say(scene, rejected, "order.request-reject", False),
        _say(scene, taken_back, "order.cancel", True),
        _say(scene, sent, "order.cancel", False),
    ]
    arm(TakeOverSteps(scene.companies.tag))
    await _produce(scene, "orders", [*said, said[0]])
    return await scene.end(INTAKE, point)


def _course(scene: Scene, *, late: bool = False, back: bool = False) -> Course:
    course = scene.talk.course(late=scene.stories if late else None, back=back)
    scene.ledger.follow(course)
    return course


async def _create(scene: Scene, *courses: Course) -> None:
    creates = []
    for course in courses:
        scene.ledger.expect_create(course)
        course.created()
        creates.append(course.create())
    await _produce(scene, "orders", creates)
    await scene.taken([course.create_id for course in courses])


def _say(scene: Scene, course: Course, operation: str, of_origin: bool) -> Said:
    """A command that arrives next, as the model has it."""
    by = course.origin if of_origin else course.destination
    said = scene.talk.say(course, operation, by)
    scene.ledger.expect_said(course, said, by_http=False)
    course.take(said)
    return said


async def _produce(scene: Scene, topic: str, said: Sequence[Said]) -> None:
    """One produced batch, on the topic of all tenants."""
    batch = scene.producer.create_batch()
    for each in said:
        headers = command_headers(each.id, each.operation, origin=each.by, partner=each.to)
        batch.append(key=each.key, value=each.value, timestamp=None, headers=headers)
    batch.close()
    await (await scene.producer.send_batch(batch, f"crossroads.{topic}", partition=0))
