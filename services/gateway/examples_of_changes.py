"""Changes for the OpenAPI page: an example for each answer of each operation."""

from typing import Any

from schemas.codes import Code
from services.domain import refusals
from services.gateway import changes, commands, described, progress
from services.gateway.described import Described
from services.gateway.problems import Problem

_OVER = {
    "complete": Code.ORDER_ALREADY_COMPLETE,
    "canceled": Code.ORDER_IS_CANCELED,
    "rejected": Code.ORDER_IS_REJECTED,
}
_NO_CHANGE = refusals.text(Code.CHANGE_NOT_FOUND)


def update() -> Described:
    """order/update."""
    name = "order.update"
    return described.operation(
        summary="Update an order, or propose to, as the pair's policy says",
        body=_amending(name),
        answers=_answers(
            name,
            "order:update",
            missing=_no_order(),
            done=("Applied, and the other side told.", "applied"),
            further={
                "proposed": ("The policy made a proposal of it.", "proposed"),
            },
            rules=_OVER,
        ),
        parameters=described.command_parameters(),
        scope="order:update",
    )


def propose() -> Described:
    """order/change/create."""
    name = "change.propose"
    return described.operation(
        summary="Propose a change of an order to the other side",
        body=_amending(name),
        answers=_answers(
            name,
            "order:update",
            missing=_no_order(),
            done=("Proposed.", "proposed"),
            rules=_OVER,
        ),
        parameters=described.command_parameters(),
        scope="order:update",
    )


def accept() -> Described:
    """order/change/accept."""
    name = "change.accept"
    answers = _answers(
        name,
        "order_change:accept",
        missing={"change": Problem(404, _NO_CHANGE)},
        done=("Applied, and the proposer told.", "synced"),
        rules={"proposer": Code.CHANGE_NOT_YOURS, "settled": Code.CHANGE_SETTLED},
    )
    answers["409"] = described.problem(
        "The order was updated since the proposal.",
        stale=Problem(409, refusals.text(Code.CHANGE_STALE), code=Code.CHANGE_STALE),
    )
    return described.operation(
        summary="Accept a change of an order",
        body=_settling(name),
        answers=answers,
        parameters=described.command_parameters(),
        scope="order_change:accept",
    )


def reject() -> Described:
    """order/change/reject."""
    name = "change.reject"
    return described.operation(
        summary="Reject a change of an order, or withdraw one's own",
        body=_settling(name),
        answers=_answers(
            name,
            "order_change:reject",
            missing={"change": Problem(404, _NO_CHANGE)},
            done=("Rejected, and the proposer told.", "rejected"),
            rules={"settled": Code.CHANGE_SETTLED},
        ),
        parameters=described.command_parameters(),
        scope="order_change:reject",
    )


def all_changes() -> Described:
    """order/change/all."""
    golden = described.golden("change.all.answer.v1", "one")
    answers = {
        "200": described.answer(
            "change.all.answer.v1",
            "The changes that fit, the newest first, at most 3,000.",
            found=("One change.", golden),
            more=("There are more than these.", {**golden, "message": changes.NOT_ALL}),
        ),
        **described.refused("order_change:read", pair=False),
        "422": described.unprocessable(),
        **described.always(),
    }
    return described.operation(
        summary="List changes of orders",
        body=described.body(
            "change.all.v1",
            pending=described.golden("change.all.v1", "pending"),
            every_filter=described.golden("change.all.v1", "every-filter"),
        ),
        answers=answers,
        parameters=[
            described.TENANT,
            described.header("X-Dest-Tenant-Name", "Only orders shared with this tenant."),
            described.PREFER_STRICT,
        ],
        scope="order_change:read",
    )


def _amending(name: str) -> Described:
    return described.body(
        f"{name}.v1",
        note=described.golden(f"{name}.v1", "note"),
        every_member=described.golden(f"{name}.v1", "every-member"),
    )


def _settling(name: str) -> Described:
    return described.body(
        f"{name}.v1",
        by_id=described.golden(f"{name}.v1", "by-id"),
        by_order=described.golden(f"{name}.v1", "by-order"),
    )


def _no_order() -> dict[str, Problem]:
    return {
        "number": Problem(404, refusals.NOT_FOUND_NUMBER.format(number="ACME-1001")),
        "id": Problem(404, refusals.NOT_FOUND_ID.format(order_id="0" * 24)),
    }


def _answers(
    name: str,
    scope: str,
    *,
    missing: dict[str, Problem],
    done: tuple[str, str],
    rules: dict[str, Code],
    further: dict[str, tuple[str, str]] | None = None,
) -> Described:
    document = f"{name}.answer.v1"
    members: Any = described.golden(document, done[1])
    pending = {
        **dict.fromkeys(members),
        "status": "pending",
        "message": progress.PROCESSING,
    }
    waiting = described.golden("order.receipt.answer.v1", "pending")["message"]
    shown = {
        label: (text, described.golden(document, example))
        for label, (text, example) in {"final": done, **(further or {})}.items()
    }
    refused = {
        label: (refusals.text(code), refusals.refused(code, refusals.text(code)).body)
        for label, code in {**rules, "ambiguous": Code.ORDER_AMBIGUOUS}.items()
    }
    key = refusals.refused(Code.IDEMPOTENCY_KEY_REUSED, commands.REUSED).body
    return {
        "200": described.answer(
            document,
            "The first result, or `pending` when the wait was over before one came.",
            **shown,
            waiting=("It waits, and goes on by itself.", {**pending, "message": waiting}),
            pending=("Accepted; ask again with the same Idempotency-Key.", pending),
        ),
        **described.refused(scope, pair=True),
        "404": described.problem("There is none of the caller's pairs.", **missing),
        "422": described.unprocessable(
            **refused, key=("The Idempotency-Key belongs to another request.", key)
        ),
        **described.always(),
    }
