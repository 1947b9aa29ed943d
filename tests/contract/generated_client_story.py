"""Run as a program by the generator's own interpreter: the generated client does an order's story.

python generated_client_story.py URL CLIENT_ID CLIENT_SECRET PARTNERS_KEY, with the client on
PYTHONPATH. Prints one JSON line with what it was answered.
"""

import json
import sys

from crossroads_client import AuthenticatedClient, Client
from crossroads_client.api.auth import auth_token
from crossroads_client.api.change import change_accept, change_all, change_propose
from crossroads_client.api.order import order_create, order_get, order_update, order_update_status
from crossroads_client.models import (
    AuthTokenBody,
    ChangeAcceptV1,
    ChangeAllV1,
    ChangeProposeV1,
    OrderCreateV1,
    OrderGetV1,
    OrderUpdateStatusV1,
    OrderUpdateV1,
)

ORDER = {
    "origin_order_number": "GENERATED-1",
    "delivery_window": {"start": "2026-11-23T08:00:00Z", "end": "2026-11-23T12:00:00Z"},
    "drops": [
        {
            "site": {"source_id": "o-main", "tank_id": "1"},
            "product": {"source_id": "o-reg"},
            "volume": 5000,
        }
    ],
}
STATUS = {
    "order": {"order_number": "GENERATED-1"},
    "progress_status": "driving_to_load",
    "location": {"source_id": "o-north"},
}
NAMED = {"order": {"order_number": "GENERATED-1"}}


def changes(ours: AuthenticatedClient, theirs: AuthenticatedClient) -> dict[str, object]:
    """An update, a proposal that its proposer may not accept, and the other side's accept."""
    updated = order_update.sync(
        client=ours,
        body=OrderUpdateV1.from_dict({**NAMED, "note": "Gate 4"}),
        x_dest_tenant_name="haul",
    )
    proposed = change_propose.sync(
        client=ours,
        body=ChangeProposeV1.from_dict({**NAMED, "po": "PO-7"}),
        x_dest_tenant_name="haul",
    )
    accept = ChangeAcceptV1.from_dict({"id": proposed.order_change.id})
    refused = change_accept.sync(client=ours, body=accept, x_dest_tenant_name="haul")
    accepted = change_accept.sync(client=theirs, body=accept, x_dest_tenant_name="acme")
    listed = change_all.sync(client=theirs, body=ChangeAllV1.from_dict({"status": "synced"}))
    return {
        "updated": [updated.status, updated.order.note, updated.order_change],
        "proposed": proposed.order_change.change_types,
        "refused": refused.code,
        "accepted": [accepted.status, accepted.order.po, accepted.order_row.partner_order.po],
        "listed": [each.id == proposed.order_change.id for each in listed.changes],
    }


def main(url: str, client_id: str, client_secret: str, partners_key: str) -> None:
    form = AuthTokenBody.from_dict(
        {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret}
    )
    granted = auth_token.sync(client=Client(base_url=url), body=form)
    hub = AuthenticatedClient(base_url=url, token=granted.access_token, timeout=30)
    created = order_create.sync(
        client=hub,
        body=OrderCreateV1.from_dict(ORDER),
        x_dest_tenant_name="haul",
        idempotency_key="generated-1",
    )
    asked = OrderGetV1.from_dict({"order_number": "GENERATED-1"})
    found = order_get.sync(client=hub, body=asked)
    moved = order_update_status.sync(
        client=hub, body=OrderUpdateStatusV1.from_dict(STATUS), x_dest_tenant_name="haul"
    )
    missed = order_get.sync(client=hub, body=OrderGetV1.from_dict({"order_number": "none"}))
    print(
        json.dumps(
            {
                "created": created.status,
                "number": created.order.origin_order_number,
                "found": found.status,
                "volume": found.origin_order.drops[0].volume,
                "moved": moved.status_update.progress_status,
                "missed": missed.detail,
                "again": found.to_dict()["trip_status"],
                **changes(hub, AuthenticatedClient(base_url=url, token=partners_key, timeout=30)),
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
