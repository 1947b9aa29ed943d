"""The one catalogue of codes (codes.yaml): what a program reads from an answer.

The names stand here so that a typing mistake is a type error; statuses and meanings stand in
the file. A test holds the two together.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files

import yaml

from schemas.results import Outcome


class Code(StrEnum):
    """A stable word; its text is what stands in `code` and in `log.detail.error`."""

    MAPPING_GAP = "mapping.gap"
    LANE_ORDER_UNKNOWN = "lane.order_unknown"
    LANE_BEHIND = "lane.behind"
    MANUAL_ACCEPTANCE = "request.manual_acceptance"
    DELIVERY_PARKED = "delivery.parked"
    PARENT_MISSING = "reference.parent_missing"
    INVALID = "request.invalid"
    ORDER_ALREADY_EXISTS = "request.order_already_exists"
    ORDER_NOT_FOUND = "request.order_not_found"
    ORDER_AMBIGUOUS = "request.order_ambiguous"
    ORDER_ALREADY_COMPLETE = "request.order_already_complete"
    ORDER_IS_CANCELED = "request.order_canceled"
    ORDER_IS_REJECTED = "request.order_rejected"
    ORDER_NOT_REQUESTED = "request.order_not_requested"
    ORDER_NOT_SENT = "request.order_not_sent"
    NO_SUCH_PAIR = "request.no_such_pair"
    NOT_ALLOWED = "request.not_allowed"
    IDEMPOTENCY_KEY_REUSED = "request.idempotency_key_reused"
    ORDER_NUMBER_TAKEN = "request.order_number_taken"
    ORDER_TOO_LARGE = "request.order_too_large"
    CHANGE_NOT_FOUND = "change.not_found"
    CHANGE_STALE = "change.stale"
    CHANGE_SETTLED = "change.settled"
    CHANGE_NOT_YOURS = "change.not_yours"
    ORDER_REJECTED = "order.rejected"
    ORDER_CANCELED = "order.canceled"
    LANE_REFUSED = "lane.refused"
    SYSTEM_ERROR = "system.error"
    RECORD_NOT_JSON = "record.not-json"
    RECORD_NOT_UTF8 = "record.not-utf8"
    RECORD_CHARACTERS = "record.characters"
    RECORD_NUMBERS = "record.numbers"
    RECORD_DEPTH = "record.depth"
    RECORD_TOO_LARGE = "record.too-large"
    RECORD_HEADERS = "record.headers"
    RECORD_UNKNOWN_TYPE = "record.unknown-type"
    RECORD_WRONG_TOPIC = "record.wrong-topic"
    RECORD_TENANT_MISMATCH = "record.tenant-mismatch"
    RECORD_UNKNOWN_TENANT = "record.unknown-tenant"


@dataclass(frozen=True, slots=True)
class CodeEntry:
    """What the catalogue says of a code."""

    code: Code
    outcome: Outcome
    http_status: int
    meaning: str


@cache
def code_catalogue() -> Mapping[str, CodeEntry]:
    """Every code with its outcome, HTTP status and meaning, in the file's order."""
    document = yaml.safe_load(files("schemas").joinpath("codes.yaml").read_text("utf-8"))
    return {
        entry["code"]: CodeEntry(**{**entry, "code": Code(entry["code"])}) for entry in document
    }


def http_status_of(code: str) -> int:
    """HTTP's status of an answer with this code; KeyError for one that is no code."""
    return code_catalogue()[code].http_status


def record_code(reason: str) -> Code:
    """The code of a record that cannot be read, from its dead letter's reason."""
    return Code.SYSTEM_ERROR if reason == "unforeseen" else Code(f"record.{reason}")
