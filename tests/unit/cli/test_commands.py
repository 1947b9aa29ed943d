"""What commands refuse before they look for anything."""

from typing import Any

import pytest

from services.cli.errors import CommandMisused
from services.cli.up import parse_replicas

SETTINGS = {
    "CROSSROADS_DATABASE_URL": "postgresql://user@127.0.0.1:1/nothing",
    "CROSSROADS_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "billing"], "no service 'billing'"),
        (["run"], "Missing argument"),
        (["up", "--broker", "rabbit"], "no broker 'rabbit'"),
        (["up", "--replicas", "relay"], "'relay' is not SERVICE=N"),
        (["up", "--replicas", "billing=2"], "no service 'billing'"),
        (["up", "--replicas", "relay=1", "gateway=0"], "at least one process"),
        (["up", "--port-base", "80"], "--port-base"),
        (["orders", "list", "--status", "lost"], "no status 'lost'"),
        (["orders", "list", "--since", "yesterday"], "'yesterday' is no time"),
        (["orders", "show"], "Missing argument"),
        (["gaps", "list", "--csv", "--json"], "cannot be had together"),
        (["gaps", "show", "first"], "Invalid value"),
        (["dead-letters", "show", "12"], "'12' is not partition/offset"),
        (["doctor", "accept-loss", "crossroads.orders", "0"], "--reason"),
        (["doctor", "accept-loss", "crossroads.orders", "0", "--reason", " "], "must say why"),
        (["doctor", "settle-batch", "1", "--published"], "must say how you know"),
    ],
)
def test_what_is_asked_for_wrongly_ends_with_2_and_says_so(
    arguments: list[str], said: str, invoke: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    done = invoke(*arguments)
    assert done.exit_code == 2
    assert said in done.stderr.replace("│", "").replace("\n", " ")
    assert done.stdout == ""


def test_replicas_are_counts_by_service() -> None:
    assert parse_replicas([]) == {}
    assert parse_replicas(["relay=2", "order-intake=3", "relay=1"]) == {
        "relay": 1,
        "order-intake": 3,
    }
    with pytest.raises(CommandMisused, match="relay=-1"):
        parse_replicas(["relay=-1"])
