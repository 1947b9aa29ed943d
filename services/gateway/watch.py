"""What `/readyz` knows of the database and the broker, looked at every few seconds."""

import asyncio

from services.gateway.hub import Hub, reading
from services.kit.database import Pool
from services.kit.errors import DatabaseAway
from services.kit.health import Check
from services.kit.metrics import DATABASE_POOL_CONNECTIONS

_EVERY_SECONDS = 2.0
# While something does not answer, at the start above all: readiness is waited for.
_TROUBLED_SECONDS = 0.2


class Watch:
    """Whether what the gateway stands on answers."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._database = False
        self._broker = False

    async def run(self, stopping: asyncio.Event) -> None:
        """Look until the process stops."""
        while not stopping.is_set():
            self._database = await _answers(self._hub.pool)
            self._broker = await self._hub.sender.answers()
            idle = self._hub.pool.get_idle_size()
            DATABASE_POOL_CONNECTIONS.labels("idle").set(idle)
            DATABASE_POOL_CONNECTIONS.labels("used").set(self._hub.pool.get_size() - idle)
            fine = self._database and self._broker
            try:
                async with asyncio.timeout(_EVERY_SECONDS if fine else _TROUBLED_SECONDS):
                    await stopping.wait()
            except TimeoutError:
                continue

    def checks(self) -> dict[str, Check]:
        """The checks of `/readyz`."""
        return {
            "database": lambda: _said(self._database),
            "broker": lambda: _said(self._broker),
        }


async def _answers(pool: Pool) -> bool:
    try:
        async with reading(pool) as connection:
            await connection.execute("SELECT")
    except DatabaseAway:
        return False
    return True


def _said(answers: bool) -> tuple[bool, str]:
    return answers, "answers" if answers else "does not answer"
