"""What every operation takes and answers, for the OpenAPI page: an example for each answer."""

from schemas.codes import Code
from services.domain import refusals
from services.gateway import auth, caller, commands, described, problems
from services.gateway.described import Described
from services.gateway.openapi import reference

_ORDER = "A-1001"


def order_create() -> Described:
    """order/create."""
    done, pending = described.golden("order.answer.v1", "synced"), commands.PENDING
    answers = {
        "200": described.answer(
            "order.answer.v1",
            "The first result, or `pending` when the wait was over before one came.",
            final=("The destination's topic has the order.", done),
            waiting=(
                "A mapping is missing. The order goes on by itself when it is there.",
                described.golden("order.answer.v1", "waiting-for-a-mapping"),
            ),
            pending=(
                "Accepted; ask again with the same Idempotency-Key.",
                {"status": "pending", "message": pending, "log": None, "order": done["order"]},
            ),
        ),
        **described.refused("order:create", pair=True),
        "422": described.unprocessable(
            rule=(
                "A business rule refuses the order.",
                described.golden("error.refusal.v1", "duplicate-order"),
            ),
            key=(
                "The Idempotency-Key belongs to another request.",
                refusals.refused(Code.IDEMPOTENCY_KEY_REUSED, commands.REUSED).body,
            ),
        ),
        **described.always(),
    }
    return described.operation(
        summary="Create an order and send it to its destination",
        body=described.body(
            "order.create.v1",
            site_by_source_id=described.golden("order.create.v1", "site-by-source-id"),
            blend=described.golden("order.create.v1", "blend-with-lists"),
        ),
        answers=answers,
        parameters=described.command_parameters(),
        scope="order:create",
    )


def order_get() -> Described:
    """order/get."""
    answers = {
        "200": described.answer(
            "order.document.v1",
            "The order as it stands.",
            final=("A sent order.", described.golden("order.document.v1", "synced")),
            waiting=(
                "An order that waits for a mapping.",
                described.golden("order.document.v1", "unmapped"),
            ),
        ),
        **described.refused("order:read", pair=False),
        "404": described.problem(
            "No order of the caller's pairs.",
            number=problems.Problem(404, refusals.NOT_FOUND_NUMBER.format(number=_ORDER)),
            id=problems.Problem(404, refusals.NOT_FOUND_ID.format(order_id="0" * 24)),
        ),
        "422": described.unprocessable(
            rule=(
                "The number fits orders of several pairs.",
                refusals.refused(Code.ORDER_AMBIGUOUS, refusals.text(Code.ORDER_AMBIGUOUS)).body,
            )
        ),
        **described.always(),
    }
    return described.operation(
        summary="Get an order",
        body=described.body(
            "order.get.v1",
            nested=described.golden("order.get.v1", "nested-by-number"),
            flat=described.golden("order.get.v1", "flat-by-number"),
        ),
        answers=answers,
        parameters=[
            described.TENANT,
            described.header("X-Dest-Tenant-Name", "Only orders shared with this tenant."),
            described.PREFER_STRICT,
        ],
        scope="order:read",
    )


def order_timeline() -> Described:
    """GET an order's timeline."""
    answers = {
        "200": described.answer(
            "order.timeline.v1",
            "What the caller's commands did, and what was sent to the caller, by time.",
            delivered=(
                "An order that waited for a mapping, and the status that came back.",
                described.golden("order.timeline.v1", "delivered"),
            ),
        ),
        **described.refused("order:read", pair=False, body=False),
        "404": described.problem(
            "No order of the caller's pairs.",
            id=problems.Problem(404, refusals.NOT_FOUND_ID.format(order_id="0" * 24)),
        ),
        "422": described.unprocessable(),
        **described.always(),
    }
    return described.operation(
        summary="Get what happened to an order",
        body=None,
        answers=answers,
        parameters=[described.in_path("order_id", "The order's id."), described.TENANT],
        scope="order:read",
    )


def token() -> Described:
    """/auth/token."""
    granted = {
        "access_token": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.c2lnbmF0dXJl",
        "token_type": "bearer",
        "expires_in": 3600,
        "scope": "order:create order:read",
    }
    text = {"type": "string"}
    form = {
        "type": "object",
        "required": ["grant_type"],
        "properties": {
            "grant_type": {"type": "string", "enum": list(auth.GRANTS)},
            "client_id": {**text, "description": "Or by HTTP Basic, with the secret."},
            "client_secret": text,
        },
        "example": {
            "grant_type": "client_credentials",
            "client_id": "xrc_0123456789abcdef01234567",
            "client_secret": "xrs_...",
        },
    }
    given = {
        "type": "object",
        "required": list(granted),
        "properties": {
            "access_token": text,
            "token_type": {"type": "string", "enum": ["bearer"]},
            "expires_in": {"type": "integer", "description": "Seconds."},
            "scope": {**text, "description": "The credential's scopes, with spaces between."},
        },
    }
    answers = {
        "200": {
            "description": "A token for Authorization: Bearer.",
            "content": {"application/json": {"schema": given, "example": granted}},
        },
        "401": described.problem(
            "Id and secret do not fit.",
            wrong=problems.unauthorized(caller.INVALID, "invalid_client"),
        ),
        "408": described.problem("The body did not come in its time.", slow=problems.too_slow()),
        "413": described.problem("The form is too long.", too_large=problems.too_large(16384)),
        "422": described.unprocessable(),
        **described.always(),
    }
    return described.operation(
        summary="Get an access token",
        body={
            "required": True,
            "content": {"application/x-www-form-urlencoded": {"schema": form}},
        },
        answers=answers,
        parameters=[],
        scope=None,
    )


def reference_post(name: str, document: str, example: str, scope: str) -> Described:
    """POST reference/<name>: `document` is that of an item, `example` a golden one of it."""
    item = described.golden(document, example)
    schema = {
        "type": "object",
        "required": ["items"],
        "properties": {"items": {"type": "array", "items": reference(document)}},
    }
    answers = {
        "200": described.answer(
            "reference.answer.v1",
            "What became of each item, in their order.",
            mixed=("Item by item.", described.golden("reference.answer.v1", "mixed")),
        ),
        **described.refused(scope, pair=False),
        "422": described.unprocessable(),
        **described.always(),
    }
    return described.operation(
        summary=f"Create or update {name}",
        body={
            "required": True,
            "content": {"application/json": {"schema": schema, "example": {"items": [item]}}},
        },
        answers=answers,
        parameters=[described.TENANT, described.IDEMPOTENCY, described.PREFER],
        scope=scope,
    )


def reference_list(name: str, filters: tuple[str, ...]) -> Described:
    """GET reference/<name>."""
    queries = {
        **dict.fromkeys(filters, "Only items with exactly this value."),
        "limit": "How many items at most, 100 by default.",
        "cursor": "What `next` of the page before said.",
    }
    answers = {
        "200": described.answer(
            "reference.list.v1",
            "One page; `next` is null on the last.",
            page=(
                "A page with more to come.",
                described.golden("reference.list.v1", "more-to-come"),
            ),
        ),
        **described.refused("reference:read", pair=False, body=False),
        "422": described.unprocessable(),
        **described.always(),
    }
    parameters = [
        {"name": query, "in": "query", "description": text, "schema": {"type": "string"}}
        for query, text in queries.items()
    ]
    return described.operation(
        summary=f"List {name}",
        body=None,
        answers=answers,
        parameters=parameters,
        scope="reference:read",
    )
