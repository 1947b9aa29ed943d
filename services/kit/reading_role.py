"""The role that only reads, and only what row-level security shows it.

Every connection that reads for a caller puts the role on when it opens, whichever login it came
with. What the role may see is said by the policies of the migrations.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

import asyncpg

from services.kit.database import Connection, Pool, open_pool, open_session
from services.kit.errors import CrossroadsError

READER = "crossroads_reader"
# LIMITS has row_security off: whoever is bound without knowing it then fails, and here is known.
_AS_READER = {"role": READER, "row_security": "on"}

_REFUSALS = (asyncpg.InsufficientPrivilegeError, asyncpg.InvalidParameterValueError)


class ReadingRoleRefused(CrossroadsError):
    """The login may not put the reading role on.

    Run `crossroads db migrate` with the same settings, or GRANT crossroads_reader to the login.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"The reading role cannot be put on ({reason}): run `crossroads db migrate` with these"
            f" settings, or GRANT {READER} to the login of the reading address."
        )


async def open_reading_pool(dsn: str, *, application_name: str, max_size: int = 10) -> Pool:
    """A pool like `open_pool`'s whose connections are the reading role's.

    Raises ReadingRoleRefused where the login may not be that role.
    """
    try:
        return await open_pool(
            dsn, application_name=application_name, max_size=max_size, settings=_AS_READER
        )
    except _REFUSALS as error:
        raise ReadingRoleRefused(str(error)) from error


async def ensure_login(dsn: str, reading_dsn: str) -> str | None:
    """Make the login of the reading address where there is none, and let it be the reading role.

    Asks the server at `dsn`, whose login may create roles; a login that is there and is a member
    already costs one query. Returns the login's name where something was done, None otherwise, and
    where both addresses have the same login. A password that differs from the address's is left.
    Raises ReadingRoleRefused where the login is missing and may not be made.
    """
    reading = urlsplit(reading_dsn)
    name = unquote(reading.username or "")
    if not name or name == unquote(urlsplit(dsn).username or ""):
        return None
    session = await open_session(dsn, application_name="crossroads-migrate")
    try:
        exists = "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)"
        member = "SELECT pg_has_role($1::name, $2::name, 'SET')"
        if await session.fetchval(exists, name):
            if await session.fetchval(member, name, READER):
                return None
        else:
            made = await session.fetchval(
                "SELECT format('CREATE ROLE %I LOGIN PASSWORD %L', $1::text, $2::text)",
                name,
                unquote(reading.password or ""),
            )
            await session.execute(made)
        await session.execute(
            await session.fetchval(f"SELECT format('GRANT {READER} TO %I', $1::text)", name)
        )
    except asyncpg.InsufficientPrivilegeError as error:
        raise ReadingRoleRefused(str(error)) from error
    finally:
        await session.close()
    return name


@dataclass(frozen=True, slots=True)
class Standing:
    """How a reading connection stands towards row-level security.

    `open_tables` are those with a policy for the role that bind it nevertheless not, `writable`
    those it may change. `reasons` say why nothing binds it; `login_reasons` say the same of the
    login below the role. All empty: as it should be.
    """

    login: str
    open_tables: Sequence[str]
    writable: Sequence[str]
    reasons: Sequence[str]
    login_reasons: Sequence[str]


_STANDING = """
WITH guarded AS (
    SELECT DISTINCT c.oid, c.relname, c.relowner
    FROM pg_policy AS p JOIN pg_class AS c ON c.oid = p.polrelid
    WHERE (SELECT oid FROM pg_roles WHERE rolname = $1) = ANY (p.polroles)
      AND c.relnamespace = current_schema()::regnamespace
)
SELECT session_user::text AS login,
    array(SELECT relname::text FROM guarded WHERE NOT row_security_active(oid) ORDER BY 1)
        AS open_tables,
    array(SELECT c.relname::text FROM pg_class AS c
          WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
            AND has_table_privilege(current_user, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
          ORDER BY 1) AS writable
"""
_REASONS = """
SELECT r.rolsuper AS superuser, r.rolbypassrls AS bypassing,
    EXISTS (SELECT FROM pg_class AS c
            WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
              AND pg_has_role(r.oid, c.relowner, 'USAGE')) AS owner
FROM pg_roles AS r WHERE r.rolname = $1
"""
_WORDS = {
    "superuser": "is a superuser",
    "bypassing": "has BYPASSRLS",
    "owner": "owns tables, or has the owner's rights",
}


async def standing(connection: Connection) -> Standing:
    """What binds a connection of `open_reading_pool`, looked up in the server's catalogue."""
    row = await connection.fetchrow(_STANDING, READER)
    if row is None:
        raise TypeError("a row of scalars is always there")
    return Standing(
        login=row["login"],
        open_tables=row["open_tables"],
        writable=row["writable"],
        reasons=await _reasons(connection, READER),
        login_reasons=await _reasons(connection, row["login"]),
    )


async def _reasons(connection: Connection, role: str) -> list[str]:
    row = await connection.fetchrow(_REASONS, role)
    return [words for name, words in _WORDS.items() if row is not None and row[name]]
