"""What every route of the gateway works with, put together once by `app`."""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import asyncpg
from starlette.requests import Request

from services.gateway.board import AnswerBoard, Look, Room
from services.gateway.bodies import Patience
from services.gateway.rates import Rates
from services.gateway.sending import Sender
from services.kit.database import Connection, Pool, is_away, transaction
from services.kit.errors import DatabaseAway
from services.records import answers, credentials, isolation
from services.records.answers import TellableAnswer, Wanted

_ACQUIRE_SECONDS = 5.0
# Pictures that are taken in at once; each may need 10 MiB of temporary space.
MOST_PICTURES = 32


@dataclass(frozen=True, slots=True)
class Reader:
    """What callers are shown is read here: `pool` is the reading role's, maybe on a replica.

    No row of another tenant's comes out of it, whatever a statement asks for (guarantee 6).
    """

    pool: Pool

    @asynccontextmanager
    async def of_tenants(self, ids: Iterable[str]) -> AsyncIterator[Connection]:
        """A connection that sees what these tenants may see; raises DatabaseAway."""
        with _away_is_told():
            async with transaction(
                self.pool, acquire_seconds=_ACQUIRE_SECONDS, readonly=True
            ) as connection:
                await isolation.read_as(connection, ids)
                yield connection

    @asynccontextmanager
    async def of_operator(self) -> AsyncIterator[Connection]:
        """A connection that sees all reference data, and no order; raises DatabaseAway."""
        async with self.of_tenants([isolation.OPERATOR]) as connection:
            yield connection


@dataclass(slots=True)
class Hub:
    """The gateway's connections and its callers.

    `pictures` is the room for those that are being taken in.
    """

    pool: Pool
    reading: Reader
    sender: Sender
    board: AnswerBoard
    rates: Rates
    room: Room = field(default_factory=Room)
    pictures: Room = field(default_factory=lambda: Room(callers=MOST_PICTURES))
    patience: Patience = field(default_factory=Patience)
    _token_key: bytes | None = None

    async def token_key(self, connection: Connection) -> bytes:
        """The key of access tokens; it is read once, for it never changes."""
        if self._token_key is None:
            self._token_key = await credentials.token_key(connection)
        return self._token_key


def hub_of(request: Request) -> Hub:
    """The hub of the application that serves this request."""
    hub: Hub = request.app.state.hub
    return hub


@asynccontextmanager
async def reading(pool: Pool) -> AsyncIterator[Connection]:
    """A connection for single statements; raises DatabaseAway where there is none to be had."""
    with _away_is_told():
        async with pool.acquire(timeout=_ACQUIRE_SECONDS) as connection:
            yield connection


@contextmanager
def _away_is_told() -> Iterator[None]:
    try:
        yield
    except (
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,
        OSError,
    ) as error:
        if not is_away(error):
            raise
        raise DatabaseAway(f"The database does not answer: {error!r}") from error


def look_in(pool: Pool) -> Look:
    """How the board looks for answers in this database."""

    async def look(wanted: Sequence[Wanted]) -> list[tuple[Wanted, TellableAnswer]]:
        async with reading(pool) as connection:
            return await answers.tellable(connection, wanted)

    return look
