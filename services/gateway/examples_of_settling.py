"""Cancel, acceptance and receipts for the OpenAPI page: an example for each answer of each."""

from typing import Any

from schemas.codes import Code
from services.domain import refusals, settling
from services.gateway import commands, described, problems, progress
from services.gateway.described import Described
from services.gateway.problems import Problem

_CANCELED = "The order was canceled before."
_REJECTED = "The destination rejected the order before."


def cancel() -> Described:
    """order/cancel."""
    return described.operation(
        summary="Cancel an order, at any stage before it is complete",
        body=described.body(
            "order.cancel.v1",
            reason=described.golden("order.cancel.v1", "with-a-reason"),
            by_id=described.golden("order.cancel.v1", "shortest"),
        ),
        answers=_answers(
            "order.answer.v1",
            "order:cancel",
            "canceled",
            canceled=("With another reason.", Code.ORDER_IS_CANCELED),
            complete=("It is complete.", Code.ORDER_ALREADY_COMPLETE),
            rejected=(_REJECTED, Code.ORDER_IS_REJECTED),
        ),
        parameters=described.command_parameters(),
        scope="order:cancel",
    )


def request_accept() -> Described:
    """order/request/accept."""
    return described.operation(
        summary="Accept an order that waits for it",
        body=described.body(
            "order.request-accept.v1",
            accept=described.golden("order.request-accept.v1", "accept"),
        ),
        answers=_answers(
            "order.answer.v1",
            "order_request:accept",
            "accepted",
            not_requested=("It waits for no acceptance.", Code.ORDER_NOT_REQUESTED),
            taken=("The number is another order's.", Code.ORDER_NUMBER_TAKEN),
            canceled=(_CANCELED, Code.ORDER_IS_CANCELED),
        ),
        parameters=described.command_parameters(),
        scope="order_request:accept",
    )


def request_reject() -> Described:
    """order/request/reject."""
    return described.operation(
        summary="Reject an order that waits for acceptance",
        body=described.body(
            "order.request-reject.v1",
            reject=described.golden("order.request-reject.v1", "reject"),
        ),
        answers=_answers(
            "order.answer.v1",
            "order_request:reject",
            "rejected",
            not_requested=("It waits for no acceptance.", Code.ORDER_NOT_REQUESTED),
            canceled=(_CANCELED, Code.ORDER_IS_CANCELED),
        ),
        parameters=described.command_parameters(),
        scope="order_request:reject",
    )


def receipt() -> Described:
    """order/receipt."""
    name = "order.receipt"
    return described.operation(
        summary="Tell what became of an order that was sent",
        body=described.body(
            f"{name}.v1",
            received=described.golden(f"{name}.v1", "received"),
            rejected=described.golden(f"{name}.v1", "rejected"),
            failed=described.golden(f"{name}.v1", "failed"),
        ),
        answers=_answers(
            f"{name}.answer.v1",
            "order:receipt",
            "synced",
            not_sent=("It was not sent yet.", Code.ORDER_NOT_SENT),
            taken=("The number is another order's.", Code.ORDER_NUMBER_TAKEN),
            rejected=(_REJECTED, Code.ORDER_IS_REJECTED),
            canceled=(_CANCELED, Code.ORDER_IS_CANCELED),
        ),
        parameters=described.command_parameters(),
        scope="order:receipt",
    )


def _answers(document: str, scope: str, final: str, **refused: tuple[str, Code]) -> Described:
    """What a command that settles an order may be answered; `refused` are its own rules."""
    rules: dict[str, tuple[str, Any]] = {
        name: (summary, refusals.refused(code, refusals.text(code)).body)
        for name, (summary, code) in refused.items()
    }
    ambiguous = refusals.refused(Code.ORDER_AMBIGUOUS, refusals.text(Code.ORDER_AMBIGUOUS))
    reused = refusals.refused(Code.IDEMPOTENCY_KEY_REUSED, commands.REUSED)
    rules["ambiguous"] = ("The number fits orders of several pairs.", ambiguous.body)
    rules["key"] = ("The Idempotency-Key belongs to another request.", reused.body)
    waiting = described.golden("order.receipt.answer.v1", "pending")
    if document == "order.answer.v1":
        waiting = {**{name: waiting[name] for name in ("status", "message", "log")}, "order": None}
    answers = {
        "200": described.answer(
            document,
            "The first result, or `pending` when the wait was over before one came.",
            final=("Done; whom it concerns has its record.", described.golden(document, final)),
            waiting=("Nobody has given the number yet; it acts when somebody does.", waiting),
            pending=(
                "Accepted; ask again with the same Idempotency-Key.",
                {**waiting, "message": progress.PROCESSING},
            ),
        ),
        **described.refused(scope, pair=True),
        "404": described.problem(
            "No order of the caller's pairs, or still none when the wait for its number was over.",
            number=Problem(404, refusals.NOT_FOUND_NUMBER.format(number="ACME-1001")),
            id=Problem(404, refusals.NOT_FOUND_ID.format(order_id="0" * 24)),
        ),
        "422": described.unprocessable(**rules),
        **described.always(),
    }
    if scope != "order:cancel":
        sentence = settling.NOT_THE_DESTINATION
        answers["403"] = described.problem(
            "The credential, the tenants or the order's direction do not allow it.",
            scope=problems.scope_missing(scope),
            tenant=problems.not_your_tenant(),
            pair=Problem(403, refusals.NO_SUCH_PAIR, code=Code.NO_SUCH_PAIR),
            origin=Problem(403, sentence, code=Code.NOT_ALLOWED),
        )
    return answers
