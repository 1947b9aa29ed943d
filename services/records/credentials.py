"""Credentials: who may ask over HTTP, with which scopes, for which tenants (K01, X12).

Secrets are random and stored as SHA-256; what `create` returns is never seen again.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.kit.database import Connection
from services.kit.errors import CrossroadsError

# Bytes of randomness of a secret; the prefixes let a leaked one be recognised.
_SECRET_BYTES = 32
_API_KEY_PREFIX = "xrk_"
_CLIENT_SECRET_PREFIX = "xrs_"  # noqa: S105 - no secret, what one begins with
_CLIENT_PREFIX = "xrc_"


class TenantUnknown(CrossroadsError):
    """No tenant has this slug."""

    def __init__(self, slugs: Sequence[str]) -> None:
        self.slugs = list(slugs)
        super().__init__("No tenant has the slug " + ", ".join(self.slugs) + ".")


@dataclass(frozen=True, slots=True)
class CredentialTenant:
    """A tenant a credential acts for."""

    id: str
    slug: str
    name: str


@dataclass(frozen=True, slots=True)
class Credential:
    """A credential that is valid now. `tenants` are in the order of their slugs."""

    client_id: str
    scopes: frozenset[str]
    operator: bool
    tenants: tuple[CredentialTenant, ...]


@dataclass(frozen=True, slots=True)
class NewCredential:
    """A credential just made, with its secrets in the clear: the only time they are."""

    client_id: str
    client_secret: str
    api_key: str


@dataclass(frozen=True, slots=True)
class ListedCredential:
    """A credential as operators see it; `revoked_at` is None while it is valid."""

    client_id: str
    scopes: list[str]
    operator: bool
    tenants: list[str]
    created_at: datetime
    revoked_at: datetime | None


def digest(secret: str) -> bytes:
    """What is stored of a secret: 32 bytes."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


async def create(
    connection: Connection, *, tenants: Iterable[str], scopes: Iterable[str], operator: bool
) -> NewCredential:
    """Make a credential for the tenants with these slugs.

    Call it in a transaction. Raises TenantUnknown, naming every slug nobody has.
    """
    slugs = sorted(set(tenants))
    rows = await connection.fetch(
        "SELECT id, slug FROM tenants WHERE slug = ANY($1::text[])", slugs
    )
    unknown = sorted(set(slugs) - {row["slug"] for row in rows})
    if unknown:
        raise TenantUnknown(unknown)
    made = NewCredential(
        client_id=_CLIENT_PREFIX + secrets.token_hex(12),
        client_secret=_CLIENT_SECRET_PREFIX + secrets.token_urlsafe(_SECRET_BYTES),
        api_key=_API_KEY_PREFIX + secrets.token_urlsafe(_SECRET_BYTES),
    )
    await connection.execute(
        "INSERT INTO credentials (client_id, secret_hash, api_key_hash, scopes, operator)"
        " VALUES ($1, $2, $3, $4, $5)",
        made.client_id,
        digest(made.client_secret),
        digest(made.api_key),
        sorted(set(scopes)),
        operator,
    )
    await connection.executemany(
        "INSERT INTO credential_tenants (client_id, tenant_id) VALUES ($1, $2)",
        [(made.client_id, row["id"]) for row in rows],
    )
    return made


_VALID = """
SELECT c.client_id, c.secret_hash, c.scopes, c.operator,
       t.id AS tenant_id, t.slug AS tenant_slug, t.name AS tenant_name
FROM credentials AS c
LEFT JOIN credential_tenants AS ct ON ct.client_id = c.client_id
LEFT JOIN tenants AS t ON t.id = ct.tenant_id
WHERE c.revoked_at IS NULL AND
"""
_BY_API_KEY = _VALID + "c.api_key_hash = $1 ORDER BY t.slug"
_BY_CLIENT = _VALID + "c.client_id = $1 ORDER BY t.slug"


async def of_api_key(connection: Connection, api_key: str) -> Credential | None:
    """The credential with this API key; None for a wrong or revoked one."""
    return _credential(await connection.fetch(_BY_API_KEY, digest(api_key)))


async def of_client(connection: Connection, client_id: str) -> Credential | None:
    """The credential with this client id, which a signed token vouches for."""
    return _credential(await connection.fetch(_BY_CLIENT, client_id))


async def of_secret(
    connection: Connection, client_id: str, client_secret: str
) -> Credential | None:
    """The credential with this client id and secret; None where they do not fit."""
    rows = await connection.fetch(_BY_CLIENT, client_id)
    stored = rows[0]["secret_hash"] if rows else b""
    if not hmac.compare_digest(stored, digest(client_secret)):
        return None
    return _credential(rows)


async def token_key(connection: Connection) -> bytes:
    """The key that access tokens are signed with; it never changes in a database."""
    secret: bytes = await connection.fetchval("SELECT secret FROM token_key")
    return secret


async def listed(connection: Connection) -> list[ListedCredential]:
    """All credentials, revoked ones too, the oldest first."""
    rows = await connection.fetch(
        """
        SELECT c.client_id, c.scopes, c.operator, c.created_at, c.revoked_at,
               coalesce(array_agg(t.slug ORDER BY t.slug) FILTER (WHERE t.slug IS NOT NULL), '{}')
                   AS tenants
        FROM credentials AS c
        LEFT JOIN credential_tenants AS ct ON ct.client_id = c.client_id
        LEFT JOIN tenants AS t ON t.id = ct.tenant_id
        GROUP BY c.client_id ORDER BY c.created_at, c.client_id
        """
    )
    return [
        ListedCredential(
            client_id=row["client_id"],
            scopes=row["scopes"],
            operator=row["operator"],
            tenants=row["tenants"],
            created_at=row["created_at"],
            revoked_at=row["revoked_at"],
        )
        for row in rows
    ]


async def revoke(connection: Connection, client_id: str) -> bool:
    """End a credential and every token made from it; False where there is no such valid one."""
    status: str = await connection.execute(
        "UPDATE credentials SET revoked_at = now() WHERE client_id = $1 AND revoked_at IS NULL",
        client_id,
    )
    return status == "UPDATE 1"


def _credential(rows: Sequence[Any]) -> Credential | None:
    if not rows:
        return None
    return Credential(
        client_id=rows[0]["client_id"],
        scopes=frozenset(rows[0]["scopes"]),
        operator=rows[0]["operator"],
        tenants=tuple(
            CredentialTenant(row["tenant_id"], row["tenant_slug"], row["tenant_name"])
            for row in rows
            if row["tenant_id"] is not None
        ),
    )
