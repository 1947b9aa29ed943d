"""The rate limit of each credential, off unless it is set (K31).

Counted in this process: several gateways allow that many times as much together.
"""

import math
import time

from limits import RateLimitItem, parse_many
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter

from services.gateway.problems import too_many


class Rates:
    """Counts requests by credential. `limit` is in the words of `limits`: `100/minute`."""

    def __init__(self, limit: str | None) -> None:
        self._items: list[RateLimitItem] = [] if limit is None else parse_many(limit)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    async def take(self, client_id: str) -> None:
        """Count one request. Raises Problem 429 with Retry-After when the limit is reached."""
        for item in self._items:
            if not await self._limiter.hit(item, client_id):
                window = await self._limiter.get_window_stats(item, client_id)
                raise too_many(max(1, math.ceil(window.reset_time - time.time())))
