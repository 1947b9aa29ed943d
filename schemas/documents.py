"""Every document of the wire by its name: the value of a record, or a body of HTTP.

A record's value is named after its ce_type without the prefix. The name ends in the version;
what breaks a document is a new version beside the old one, and `schemas.gate` says what breaks.
"""

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import TypeAdapter

from schemas import (
    changes,
    errors,
    log,
    orders,
    progress,
    reference,
    requests,
    results,
    sync,
    timeline,
)


@dataclass(frozen=True, slots=True)
class Document:
    """One published document.

    `direction` is seen from the hub: it takes commands, and gives answers, results and syncs.
    """

    name: str
    direction: Literal["taken", "given"]
    adapter: TypeAdapter[Any]


DOCUMENTS: tuple[Document, ...] = (
    Document("order.create.v1", "taken", orders.CREATE_ORDER),
    Document("order.get.v1", "taken", orders.GET_ORDER),
    Document("order.update-status.v1", "taken", progress.UPDATE_STATUS),
    Document("order.save-bol.v1", "taken", progress.SAVE_BOL),
    Document("order.save-drop.v1", "taken", progress.SAVE_DROP),
    Document("order.save-bol-image.v1", "taken", progress.SAVE_BOL_IMAGE),
    Document("order.cancel.v1", "taken", requests.CANCEL_ORDER),
    Document("order.request-accept.v1", "taken", requests.REQUEST_ACCEPT),
    Document("order.request-reject.v1", "taken", requests.REQUEST_REJECT),
    Document("order.receipt.v1", "taken", requests.RECEIPT),
    Document("order.update.v1", "taken", changes.UPDATE_ORDER),
    Document("change.propose.v1", "taken", changes.PROPOSE_CHANGE),
    Document("change.accept.v1", "taken", changes.ACCEPT_CHANGE),
    Document("change.reject.v1", "taken", changes.REJECT_CHANGE),
    Document("change.all.v1", "taken", changes.ALL_CHANGES),
    Document("reference.upsert-tenant.v1", "taken", reference.UPSERT_TENANT),
    Document("reference.upsert-pair.v1", "taken", reference.UPSERT_PAIR),
    Document("reference.upsert-record.v1", "taken", reference.UPSERT_RECORD),
    Document("reference.upsert-mapping.v1", "taken", reference.UPSERT_MAPPING),
    Document("reference.batch.v1", "taken", reference.REFERENCE_BATCH),
    Document("reference.file.v1", "taken", reference.REFERENCE_FILE),
    Document("order.v1", "given", orders.ORDER),
    Document("order.answer.v1", "given", orders.ORDER_ANSWER),
    Document("order.update-status.answer.v1", "given", progress.STATUS_UPDATE_ANSWER),
    Document("order.save-bol.answer.v1", "given", progress.BOL_ANSWER),
    Document("order.save-drop.answer.v1", "given", progress.EXECUTED_DROP_ANSWER),
    Document("order.save-bol-image.answer.v1", "given", progress.BOL_PHOTO_ANSWER),
    Document("order.receipt.answer.v1", "given", requests.RECEIPT_ANSWER),
    Document("order.update.answer.v1", "given", changes.UPDATE_ANSWER),
    Document("change.propose.answer.v1", "given", changes.CHANGE_ANSWER),
    Document("change.accept.answer.v1", "given", changes.ACCEPT_ANSWER),
    Document("change.reject.answer.v1", "given", changes.CHANGE_ANSWER),
    Document("change.all.answer.v1", "given", changes.CHANGES_ANSWER),
    Document("order-change.v1", "given", changes.ORDER_CHANGE),
    Document("order-row.v1", "given", changes.ORDER_ROW),
    Document("blob.v1", "given", progress.BLOB),
    Document("order.document.v1", "given", orders.ORDER_DOCUMENT),
    Document("order.timeline.v1", "given", timeline.TIMELINE),
    Document("log.v1", "given", log.CROSSROADS_LOG),
    Document("routing.v1", "given", log.ROUTING),
    Document("error.invalid.v1", "given", errors.INVALID_REQUEST),
    Document("error.refusal.v1", "given", errors.REFUSAL),
    Document("error.problem.v1", "given", errors.PROBLEM),
    Document("result.v1", "given", results.RESULT_VALUE),
    Document("reference.item-answer.v1", "given", reference.ITEM_ANSWER),
    Document("reference.answer.v1", "given", reference.REFERENCE_ANSWER),
    Document("reference.list.v1", "given", reference.REFERENCE_LIST),
    Document("order.requested.v1", "given", sync.ORDER_SYNC),
    Document("order.created.v1", "given", sync.ORDER_SYNC),
    Document("order.canceled.v1", "given", sync.CANCELLATION_SYNC),
    Document("order.received.v1", "given", sync.RECEIPT_SYNC),
    Document("order.accepted.v1", "given", sync.RECEIPT_SYNC),
    Document("order.rejected.v1", "given", sync.RECEIPT_SYNC),
    Document("order.failed.v1", "given", sync.RECEIPT_SYNC),
    Document("order.updated.v1", "given", changes.ORDER_UPDATED_SYNC),
    Document("change.proposed.v1", "given", changes.CHANGE_SYNC),
    Document("change.accepted.v1", "given", changes.CHANGE_ACCEPTED_SYNC),
    Document("change.rejected.v1", "given", changes.CHANGE_SYNC),
    Document("order.status-updated.v1", "given", progress.STATUS_UPDATED_SYNC),
    Document("order.bol-saved.v1", "given", progress.BOL_SAVED_SYNC),
    Document("order.drop-saved.v1", "given", progress.DROP_SAVED_SYNC),
    Document("order.bol-photo-saved.v1", "given", progress.BOL_PHOTO_SAVED_SYNC),
)
