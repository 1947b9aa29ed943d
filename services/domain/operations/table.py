"""Every operation the hub takes: what it must know, and how it is decided."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping as Members
from datetime import datetime
from typing import NamedTuple

from schemas.errors import ErrorEntry
from services.domain.command import Command
from services.domain.effects import Effects
from services.domain.operations import (
    accept_change,
    cancel,
    create,
    propose,
    receipt,
    reject_change,
    request_accept,
    request_reject,
    save_bol,
    save_bol_image,
    save_drop,
    update,
    update_status,
    upsert_mapping,
    upsert_pair,
    upsert_record,
    upsert_tenant,
)
from services.domain.tenants import Directory
from services.domain.world import Needs, World


class Operation(NamedTuple):
    """The pure functions of one operation; `problems` needs no world and runs at the edge too.

    What `overtakes` acts at once on a known order, whatever waits in its lane (protocol §3).
    """

    needs: Callable[[Command, Directory], Needs]
    decide: Callable[[Command, World, datetime], Effects]
    problems: Callable[[Command], list[ErrorEntry]]
    overtakes: bool = False


TABLE: Members[str, Operation] = {
    "order.create": Operation(create.needs, create.decide, create.problems),
    "order.cancel": Operation(cancel.needs, cancel.decide, cancel.problems, overtakes=True),
    "order.request-accept": Operation(
        request_accept.needs, request_accept.decide, request_accept.problems, overtakes=True
    ),
    "order.request-reject": Operation(
        request_reject.needs, request_reject.decide, request_reject.problems, overtakes=True
    ),
    "order.receipt": Operation(receipt.needs, receipt.decide, receipt.problems, overtakes=True),
    "order.update-status": Operation(
        update_status.needs, update_status.decide, update_status.problems
    ),
    "order.save-bol": Operation(save_bol.needs, save_bol.decide, save_bol.problems),
    "order.save-drop": Operation(save_drop.needs, save_drop.decide, save_drop.problems),
    "order.save-bol-image": Operation(
        save_bol_image.needs, save_bol_image.decide, save_bol_image.problems
    ),
    "order.update": Operation(update.needs, update.decide, update.problems),
    "change.propose": Operation(propose.needs, propose.decide, propose.problems),
    "change.accept": Operation(accept_change.needs, accept_change.decide, accept_change.problems),
    "change.reject": Operation(reject_change.needs, reject_change.decide, reject_change.problems),
    "reference.upsert-tenant": Operation(
        upsert_tenant.needs, upsert_tenant.decide, upsert_tenant.problems
    ),
    "reference.upsert-pair": Operation(upsert_pair.needs, upsert_pair.decide, upsert_pair.problems),
    "reference.upsert-record": Operation(
        upsert_record.needs, upsert_record.decide, upsert_record.problems
    ),
    "reference.upsert-mapping": Operation(
        upsert_mapping.needs, upsert_mapping.decide, upsert_mapping.problems
    ),
}

OVERTAKING = frozenset(name for name, operation in TABLE.items() if operation.overtakes)
