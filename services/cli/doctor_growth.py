"""What `crossroads doctor` says of growth: what should be gone by now, and what keeps it."""

from services.cli.output import age
from services.kit.database import Connection
from services.kit.settings import Settings
from services.records import growth, retention

# The upkeep comes once an hour, and a day may pass until a process that does it is up again.
_GRACE_DAYS = 1

Told = tuple[str, str]
"""What is wrong, and what to do about it."""


async def overdue_commands(connection: Connection, settings: Settings) -> list[Told]:
    """Commands that are still remembered although their time is over."""
    days = settings.command_retention_days
    number, oldest = await retention.overdue(connection, days=days + _GRACE_DAYS)
    if oldest is None:
        return []
    told = f"{number} commands or more are past their {days} days, the oldest {age(oldest)}"
    return [(told, "order-intake forgets them each hour: see that one is up, and its log")]


async def overdue_months(connection: Connection, settings: Settings) -> list[Told]:
    """Months of history that should have been dropped."""
    names = await retention.old_months(connection, keep=settings.history_months)
    if not names:
        return []
    told = f"past their {settings.history_months} months: {', '.join(names)}"
    return [(told, "order-intake drops them each hour, unless somebody reads in them for long")]


async def vacuum(connection: Connection) -> list[Told]:
    """Why dead rows stay: vacuum is off, somebody holds it back; and where they became many."""
    found = [
        (f"nothing is vacuumed by itself: {name} is off", "switch it on: without it tables rot")
        for name in await growth.without_vacuum(connection)
    ]
    for holder in await growth.holders(connection):
        who = holder.name if holder.pid is None else f"pid {holder.pid} ({holder.name})"
        since = "" if holder.since is None else f", open since {age(holder.since)}"
        remedy = {
            "prepared": f"COMMIT PREPARED or ROLLBACK PREPARED '{holder.name}'",
            "slot": f"catch up with it, or SELECT pg_drop_replication_slot('{holder.name}')",
        }.get(holder.kind, f"end it, or SELECT pg_terminate_backend({holder.pid})")
        told = f"a {holder.kind} of {who}{since}, {holder.state}, keeps dead rows in every table"
        found.append((told, remedy))
    for table in await growth.busy_tables(connection):
        if table.rotten:
            last = "never" if table.vacuumed_at is None else age(table.vacuumed_at)
            told = (
                f"{table.name} has {table.dead} dead rows beside {table.live}, in "
                f"{table.size / 1e6:.0f} MB; vacuumed {last}"
            )
            found.append((told, f"end what holds them, then VACUUM {table.name}"))
    return found
