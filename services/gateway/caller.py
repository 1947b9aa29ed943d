"""Who asks: the credential behind a request, its scopes, and the tenant it acts for (K01)."""

import base64
from collections.abc import Sequence

from starlette.requests import Request

from services.gateway import tokens
from services.gateway.hub import Hub, reading
from services.gateway.problems import Problem, not_your_tenant, scope_missing, unauthorized
from services.records import credentials
from services.records.credentials import Credential, CredentialTenant

MISSING = "Send an API key as X-API-Key, or a key or token as Authorization: Bearer."
INVALID = "The credential is not valid."


async def admit(request: Request, hub: Hub, *scopes: str) -> Credential:
    """The credential of a request that has one of `scopes`, counted against its rate.

    Raises Problem: 401 without a valid credential, 429 beyond its rate, 403 naming the first
    scope.
    """
    credential = await _authenticate(request, hub)
    await hub.rates.take(credential.client_id)
    if not credential.scopes.intersection(scopes):
        raise scope_missing(scopes[0])
    return credential


def acting_tenant(credential: Credential, name: str | None) -> CredentialTenant | None:
    """The tenant a request is made for: the named one, or the credential's only one.

    None where the credential has several and none is named. Raises Problem 403 for a name that is
    none of its tenants', and for a credential without tenants.
    """
    if name is not None:
        for tenant in credential.tenants:
            if name in (tenant.slug, tenant.name):
                return tenant
        raise not_your_tenant()
    if not credential.tenants:
        raise Problem(403, "The credential acts for no tenant.")
    return credential.tenants[0] if len(credential.tenants) == 1 else None


def reading_tenants(credential: Credential, name: str | None) -> Sequence[CredentialTenant]:
    """The tenants whose orders a read searches: the named one, or all of the credential's."""
    tenant = acting_tenant(credential, name)
    return credential.tenants if tenant is None else [tenant]


def basic_credentials(authorization: str) -> tuple[str, str] | None:
    """Client id and secret of HTTP Basic; None where the header is something else."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True).decode()
    except ValueError:
        # No base64, not even ASCII, or no UTF-8 within it.
        return None
    user, colon, secret = decoded.partition(":")
    # NUL is no text for the database.
    return (user, secret) if colon and "\x00" not in decoded else None


async def _authenticate(request: Request, hub: Hub) -> Credential:
    api_key = request.headers.get("x-api-key")
    if api_key:
        presented = api_key
    else:
        scheme, _, presented = request.headers.get("authorization", "").partition(" ")
        presented = presented.strip()
        if scheme.lower() != "bearer" or not presented:
            raise unauthorized(MISSING)
    async with reading(hub.pool) as connection:
        # A token has dots, an API key has none.
        if api_key is None and presented.count(".") == 2:
            client_id = tokens.client_of(await hub.token_key(connection), presented)
            found = (
                None if client_id is None else await credentials.of_client(connection, client_id)
            )
        else:
            found = await credentials.of_api_key(connection, presented)
    if found is None:
        raise unauthorized(INVALID, "invalid_token")
    return found
