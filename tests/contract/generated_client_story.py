"""Run as a program by the generator's own interpreter: the generated client does an order's story.

python generated_client_story.py URL CLIENT_ID CLIENT_SECRET, with the client on PYTHONPATH. Prints
one JSON line with what it was answered.
"""

import json
import sys

from crossroads_client import AuthenticatedClient, Client
from crossroads_client.api.auth import auth_token
from crossroads_client.api.order import order_create, order_get, order_update_status
from crossroads_client.models import (
    AuthTokenBody,
    OrderCreateV1,
    OrderGetV1,
    OrderUpdateStatusV1,
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


def main(url: str, client_id: str, client_secret: str) -> None:
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
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
