"""What `crossroads doctor` says of the role that the gateway reads with (guarantee 6)."""

from services.kit.reading_role import READER, open_reading_pool, standing
from services.kit.settings import Settings

Told = tuple[bool, str, str]
"""Whether callers' rows stand open because of it, what is wrong, and what to do about it."""

_OWN_LOGIN = "give CROSSROADS_DATABASE_READ_URL a login of its own, then crossroads db migrate"


async def unbound(settings: Settings) -> list[Told]:
    """Why row-level security does not bind what the gateway reads, or could be put off.

    Raises ReadingRoleRefused where the login of the reading address is not of the role.
    """
    async with (
        await open_reading_pool(
            settings.reading_address, application_name="crossroads cli", max_size=1
        ) as pool,
        pool.acquire(timeout=10) as connection,
    ):
        found = await standing(connection)
    told: list[Told] = []
    for reason in found.reasons:
        remedy = f"ALTER ROLE {READER} NOSUPERUSER NOBYPASSRLS, and no membership in other roles"
        told.append((True, f"{READER} {reason}: it sees every tenant's rows", remedy))
    if found.open_tables and not found.reasons:
        names = ", ".join(found.open_tables)
        remedy = "ALTER TABLE … ENABLE ROW LEVEL SECURITY"
        told.append((True, f"row-level security is off for {names}", remedy))
    if found.writable and not found.reasons:
        names = ", ".join(found.writable)
        remedy = f"REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON … FROM {READER}"
        told.append((True, f"{READER} may write to {names}", remedy))
    told += [
        (False, f"the gateway reads with the login {found.login}, which {reason}", _OWN_LOGIN)
        for reason in found.login_reasons
    ]
    return told
