"""Storing what a batch caused, all at once: outgoing records first, for their ids go elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from schemas.codes import Code
from services.commands import holding
from services.commands.batch import Batch, Identity, Job
from services.commands.telling import Newest, Telling
from services.commands.waits import Waits
from services.domain.effects import Answer
from services.kit.database import Connection
from services.records import (
    blobs,
    changes,
    commands,
    gaps,
    history,
    lanes,
    locks,
    master_data,
    numbers,
    orders,
    tallies,
    timeline,
    waiting_upserts,
)
from services.records.commands import StoredAnswer
from services.records.locks import Race, numbers_of
from services.records.texts import Texts
from services.records.waiting_upserts import WaitingUpsert


@dataclass(slots=True)
class Storing:
    """Turns a decided batch into rows. One of these per batch.

    `waits` has the orders as they were loaded and as they are now, `answers` are what the batch's
    ids were told before, `waiting` the upserts that wait for rows this batch is about.
    """

    service: str
    moment: datetime
    waits: Waits
    answers: dict[Identity, StoredAnswer]
    waiting: Mapping[Identity, WaitingUpsert] = field(default_factory=dict)
    _texts: Texts = field(default_factory=Texts)

    async def store(self, connection: Connection, batch: Batch) -> None:
        """Store everything the batch caused; its effects must have been decided."""
        telling = Telling(
            self.service, self.moment, self.waits.world.orders, self.answers, self._texts
        )
        await self._supersede(connection, batch, telling)
        for job in batch.firsts:
            telling.tell(job)
        for job in batch.copies:
            telling.tell_again(job)
        for dead in batch.dead:
            telling.bury(dead, batch.directory)
        await telling.store_records(connection)
        await self._write_orders(connection, batch.firsts, telling)
        await telling.store_answers(connection)
        proposed = (each for job in batch.firsts for each in job.decided.changes)
        await changes.store(connection, proposed)
        # Waiters first: what they wait for may be an upsert of this very batch.
        await holding.hold(connection, batch.firsts)
        await holding.let_go(connection, batch.firsts, self.waits.released())
        await self._write_pictures(connection, batch.firsts)
        await self._write_reference(connection, batch.firsts)
        await self._write_history(connection, batch.firsts, telling)
        await tallies.add(connection, self.service, telling.tallies)

    async def _supersede(self, connection: Connection, batch: Batch, telling: Telling) -> None:
        """End upserts that waited and that a newer one of their key replaces."""
        here = {job.identity: job for job in batch.firsts}
        ended: list[tuple[Identity, Answer]] = []
        for job in batch.firsts:
            if job.decided.supersedes is None:
                continue
            tenant_id, command_id, answer = job.decided.supersedes
            older = here.get((tenant_id, command_id))
            if older is not None and not older.turn:
                older.decided.answer, older.decided.parent = answer, None
            else:
                ended.append(((tenant_id, command_id), answer))
        stored = await commands.known(connection, [identity for identity, _ in ended])
        for identity, answer in ended:
            telling.end(stored[identity], self.waiting[identity], answer, batch.directory)
        await waiting_upserts.leave(connection, [identity for identity, _ in ended])

    async def _write_reference(self, connection: Connection, jobs: Iterable[Job]) -> None:
        """Store upserts and wake who waits for them; shared numbers before looking for waiters."""
        upserts = [job.decided.upsert for job in jobs if job.decided.upsert is not None]
        if not upserts:
            return
        await master_data.store(connection, upserts)
        tokens = {token for upsert in upserts for token in upsert.tokens}
        await locks.take_shared(
            connection,
            numbers_of(Race.MAPPING_MISSING, tokens) | numbers_of(Race.PARENT_MISSING, tokens),
        )
        await gaps.close(connection, tokens)
        await waiting_upserts.wake(connection, tokens)
        await lanes.wake_workers(connection)

    async def _write_orders(
        self, connection: Connection, jobs: Iterable[Job], telling: Telling
    ) -> None:
        known, now = self.waits.before, self.waits.world.orders
        changed = {job.decided.order.id for job in jobs if job.decided.order is not None}
        rows = [
            (now[order_id], _id(telling, newest.to_origin), _id(telling, newest.to_destination))
            for order_id in sorted(changed | self.waits.touched)
            for newest in [telling.newest.get(order_id, _NOTHING)]
        ]
        await orders.insert(
            connection, [row for row in rows if row[0].id not in known], self._texts
        )
        kept = (row for row in rows if row[0].id in known)
        await orders.update(connection, kept, known, self._texts)
        await numbers.take_over(connection, self.waits.moves, Code.LANE_BEHIND)
        await lanes.flag(connection, self.waits.runnable())

    async def _write_pictures(self, connection: Connection, jobs: Iterable[Job]) -> None:
        links = []
        for job in jobs:
            picture, order_id = job.decided.picture, job.decided.order_id
            if picture is None or order_id is None:
                continue
            if picture.content is not None:
                await blobs.store(connection, picture.blob, picture.content)
            links.append((picture.blob.id, order_id))
        await blobs.link(connection, links)

    async def _write_history(
        self, connection: Connection, jobs: Iterable[Job], telling: Telling
    ) -> None:
        logs, events = [], []
        for job in jobs:
            effects, (tenant_id, command_id) = job.decided, job.identity
            order_id = effects.order_id
            if _is_no_news(job):
                continue
            logs += [(tenant_id, order_id, command_id, entry) for entry in effects.logs]
            if order_id is not None:
                records = [
                    (sync, sequence, telling.ids[at])
                    for sync, sequence, at in telling.syncs.get(job.identity, ())
                ]
                told = timeline.with_records(effects.events, records, waited=job.turn)
                events += [(order_id, tenant_id, command_id, event) for event in told]
        await history.write_logs(connection, logs, self._texts)
        await history.write_events(connection, events)


_NOTHING = Newest()


def _id(telling: Telling, at: int | None) -> int | None:
    return None if at is None else telling.ids[at]


def _is_no_news(job: Job) -> bool:
    """Whether it goes on waiting for what it waited for; a create says itself what is new."""
    effects = job.decided
    waits_on = job.turn and job.waits and effects.order is None
    return waits_on and job.reason == effects.answer.code
