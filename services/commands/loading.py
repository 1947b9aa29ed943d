"""Loading a batch's world under lock, and again what others may have changed meanwhile."""

from __future__ import annotations

from dataclasses import dataclass, field

from services.commands import creates
from services.commands.batch import Batch, Job, names_of
from services.domain import order_row
from services.domain.effects import UnknownNumber
from services.domain.world import ChangeState, Needs, OrderState, World
from services.kit.database import Connection
from services.records import (
    blobs,
    changes,
    directory,
    locks,
    master_data,
    numbers,
    orders,
    waiting_upserts,
)
from services.records.locks import LocksNeeded, Race, numbers_of
from services.records.numbers import NumberWaiter
from services.records.waiting_upserts import WaitingUpsert


@dataclass(slots=True)
class Loaded:
    """What a batch's commands go by; `taken` are the advisory numbers held exclusively.

    `given` are the order numbers whose advisory numbers are held shared, `waiters` who waits for
    these, `waiting` the upserts that wait for rows the batch is about. `changes` are those that
    were named, and the pending ones where they are wanted.
    """

    taken: frozenset[tuple[Race, int]]
    needs: list[Needs] = field(default_factory=list)
    states: dict[str, OrderState] = field(default_factory=dict)
    changes: list[ChangeState] = field(default_factory=list)
    creates: dict[str, Job] = field(default_factory=dict)
    given: set[UnknownNumber] = field(default_factory=set)
    waiters: list[NumberWaiter] = field(default_factory=list)
    waiting: dict[str, WaitingUpsert] = field(default_factory=dict)

    async def lock(self, connection: Connection, batch: Batch) -> None:
        """Lock all that the batch may change: advisory numbers first, then orders (§4).

        Raises LocksNeeded where somebody else is about to write the same reference data.
        """
        entity_keys = batch.entity_keys()
        self.needs = batch.needs()
        await self.give(connection, batch.numbers(self.needs))
        await self.take(connection, numbers_of(Race.SAME_ROW, entity_keys))
        await self.lock_orders(connection)
        self.waiting = await waiting_upserts.of_keys(connection, entity_keys)

    async def take(self, connection: Connection, wanted: frozenset[tuple[Race, int]]) -> None:
        """Hold these numbers exclusively, too. Raises LocksNeeded where that means to wait."""
        try:
            await locks.try_exclusive(connection, wanted - self.taken)
        except LocksNeeded as needed:
            raise LocksNeeded(needed.numbers, numbers.locks_of(self.given)) from needed
        self.taken |= wanted

    async def give(self, connection: Connection, given: set[UnknownNumber]) -> None:
        """Race a: about to give these numbers, see who waits for them, and let nobody begin to."""
        fresh = given - self.given
        if fresh:
            await locks.take_shared(connection, numbers.locks_of(fresh))
            self.given |= fresh
            self.waiters = await numbers.waiting(connection, self.given)

    async def lock_orders(self, connection: Connection) -> None:
        """Load the orders and lock them; those that came since the last time, too.

        What is proposed of them is guarded by their locks and read after them.
        """
        named = {change for need in self.needs for change in need.change_ids}
        wanted = {known for need in self.needs for known in need.order_ids}
        if named:
            wanted |= await changes.orders_of(connection, named)
        found = await orders.lock(
            connection,
            wanted,
            {number for need in self.needs for number in need.numbers},
            {number for need in self.needs for number in need.addresses},
        )
        self.states = {state.id: state for state in found}
        self.creates = await creates.load(connection, self.needs, found)
        if named or any(need.changes for need in self.needs):
            self.changes = await changes.load(connection, self.states, {id_ for _, id_ in named})

    async def look_again(
        self, connection: Connection, batch: Batch, lacking: frozenset[tuple[Race, int]]
    ) -> None:
        """In later statements, whoever holds what was lacking being waited out."""
        if batch.entity_keys():
            arrivals = [job.arrival for job in batch.firsts]
            batch.directory = await directory.load(connection, names_of(arrivals))
            self.needs = batch.needs()
        if any(race is Race.ORDER_UNKNOWN for race, _ in lacking):
            await self.lock_orders(connection)

    async def world(self, connection: Connection, batch: Batch) -> World:
        """A fresh world to decide on."""
        rows = any(need.rows for need in self.needs)
        needs = self.needs
        if rows:
            told = self.states.values()
            needs = [*needs, *order_row.needs(told, self.changes, batch.directory)]
        world = World(batch.directory, await master_data.load(connection, needs))
        for state in self.states.values():
            world.put_order(state)
        for change in self.changes:
            world.put_change(change)
        if rows:
            world.failures = await changes.failures(connection, self.states)
        world.waiting_upserts = {
            key: (row.tenant_id, row.command_id) for key, row in self.waiting.items()
        }
        pictures = {blob for need in self.needs for blob in need.blobs}
        if pictures:
            world.blobs = await blobs.load(connection, pictures)
        return world
