"""Access tokens: signed statements of which credential asks, for an hour (X12)."""

import time

import jwt

LIFETIME_SECONDS = 3600
_ALGORITHM = "HS256"
_ISSUER = "crossroads"


def issue(key: bytes, client_id: str) -> str:
    """A token for this credential, valid for LIFETIME_SECONDS from now.

    It names the credential and nothing else: scopes and tenants are looked up when it is used, so
    that a revoked credential ends its tokens.
    """
    now = int(time.time())
    claims = {"iss": _ISSUER, "sub": client_id, "iat": now, "exp": now + LIFETIME_SECONDS}
    return jwt.encode(claims, key, algorithm=_ALGORITHM)


def client_of(key: bytes, token: str) -> str | None:
    """The client id a token was made for; None for one that is forged, expired or no token."""
    try:
        claims = jwt.decode(
            token,
            key,
            algorithms=[_ALGORITHM],
            issuer=_ISSUER,
            options={"require": ["exp", "iss", "sub"]},
        )
    except jwt.InvalidTokenError:
        return None
    subject: str = claims["sub"]
    return subject
