r"""An upstream over HTTP: a token, an order, what becomes of it, and a change of mind.

HTTP=http://127.0.0.1:8102 CLIENT_ID=… CLIENT_SECRET=… PARTNER=hauler \
    python upstream_http.py order.json
… upstream_http.py order.json update '{"note": "Gate 4"}'
… upstream_http.py order.json cancel '{"reason_code": "weather"}'
"""

import hashlib
import json
import os
import sys
import time

import httpx

PARTNER = os.environ["PARTNER"]


def token(hub: httpx.Client) -> str:
    form = {
        "grant_type": "client_credentials",
        "client_id": os.environ["CLIENT_ID"],
        "client_secret": os.environ["CLIENT_SECRET"],
    }
    return hub.post("/auth/token", data=form).raise_for_status().json()["access_token"]


def command(hub: httpx.Client, operation: str, key: str, body: dict) -> httpx.Response:
    """Send a command until there is an answer; the key makes each attempt the same one."""
    headers = {"X-Dest-Tenant-Name": PARTNER, "Idempotency-Key": key, "Prefer": "wait=10"}
    while True:
        answer = hub.post(f"/v1/order/{operation}", json=body, headers=headers)
        if answer.status_code == 401:  # a token is valid for an hour
            hub.headers["Authorization"] = f"Bearer {token(hub)}"
        elif answer.status_code in (429, 503):
            time.sleep(int(answer.headers["Retry-After"]))
        elif answer.status_code != 200 or answer.json()["status"] != "pending":
            return answer


def statuses(hub: httpx.Client, number: str) -> tuple[str, str | None]:
    """How far the order is in the hub, and where its driver is."""
    found = hub.post("/v1/order/get", json={"order_number": number}).raise_for_status().json()
    return found["status"], found["trip_status"]


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        wanted = json.load(file)
    number = wanted["origin_order_number"]
    operation, key = "create", f"create/{number}"
    if len(sys.argv) > 2:  # an update or a cancel of that order; the same one has the same key
        operation, members = sys.argv[2:]
        wanted = {"order": {"order_number": number}, **json.loads(members)}
        key = f"{operation}/{number}/{hashlib.sha256(members.encode()).hexdigest()[:12]}"
    with httpx.Client(base_url=os.environ["HTTP"], timeout=30) as client:
        client.headers["Authorization"] = f"Bearer {token(client)}"
        response = command(client, operation, key, wanted)
        told = response.json()
        if response.status_code != 200:
            sys.exit(f"{response.status_code}: {told['detail']}")
        print(told["status"], told["message"])
        print(*statuses(client, number))
