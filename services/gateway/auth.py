"""`POST /auth/token`: a credential's id and secret for a token of one hour (X12)."""

from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from services.gateway import tokens
from services.gateway.bodies import take_body
from services.gateway.caller import INVALID, basic_credentials
from services.gateway.hub import hub_of, reading
from services.gateway.problems import Problem, answer, entry, unauthorized
from services.records import credentials

GRANTS = ("client_credentials", "password")
_MAX_FORM_BYTES = 16 * 1024
_MAX_FIELDS = 20
_NO_STORE = {"Cache-Control": "no-store"}


async def token(request: Request) -> Response:
    """A bearer token for a credential's id and secret.

    The id and the secret stand in the form as client_id and client_secret (a password grant may
    say username and password), or in HTTP Basic. Raises Problem 401 where they do not fit, 422
    where the form lacks something.
    """
    hub = hub_of(request)
    form = _form(await take_body(request, hub.patience, _MAX_FORM_BYTES))
    errors = []
    if form.get("grant_type") not in GRANTS:
        msg = "The grant type is client_credentials or password"
        kind = "literal_error" if form.get("grant_type") else "missing"
        errors.append(entry(["body", "grant_type"], msg, kind))
    basic = basic_credentials(request.headers.get("authorization", ""))
    client_id, secret = basic or (
        form.get("client_id") or form.get("username"),
        form.get("client_secret") or form.get("password"),
    )
    for name, value in (("client_id", client_id), ("client_secret", secret)):
        if not value:
            errors.append(entry(["body", name], "Field required", "missing"))
    if errors or not client_id or not secret:
        raise Problem(422, errors)
    async with reading(hub.pool) as connection:
        found = await credentials.of_secret(connection, client_id, secret)
        key = await hub.token_key(connection)
    if found is None:
        raise unauthorized(INVALID, "invalid_client")
    await hub.rates.take(found.client_id)
    return answer(
        200,
        {
            "access_token": tokens.issue(key, found.client_id),
            "token_type": "bearer",
            "expires_in": tokens.LIFETIME_SECONDS,
            "scope": " ".join(sorted(found.scopes)),
        },
        _NO_STORE,
    )


def _form(body: bytes) -> dict[str, str]:
    try:
        fields = parse_qsl(body.decode(), max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise Problem(422, [entry(["body"], "The body is no form", "form_invalid")]) from None
    # NUL is no text for the database.
    return {name: value for name, value in fields if "\x00" not in value}
