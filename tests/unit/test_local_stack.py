import pytest

from services.local.errors import LocalError
from services.local.stack import StackOptions, service_environment


def test_a_broker_nobody_knows_is_refused_by_name():
    with pytest.raises(LocalError, match="'rabbit'"):
        StackOptions(broker="rabbit")


def test_replicas_of_a_service_nobody_knows_are_refused_by_name():
    with pytest.raises(LocalError, match="'billing'"):
        StackOptions(replicas={"billing": 2})


def test_less_than_one_process_of_a_service_is_refused():
    with pytest.raises(LocalError, match="at least one"):
        StackOptions(replicas={"relay": 0})


def test_settings_reach_the_services_and_addresses_of_elsewhere_do_not(monkeypatch):
    monkeypatch.setenv("CROSSROADS_LANE_WAIT_SECONDS", "7")
    monkeypatch.setenv("CROSSROADS_DATABASE_URL", "postgresql://elsewhere/x")
    monkeypatch.setenv("CROSSROADS_KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
    monkeypatch.setenv("CROSSROADS_KAFKA_SASL_PASSWORD", "secret")
    told = service_environment("postgresql://here/x", "127.0.0.1:9")
    assert told["CROSSROADS_LANE_WAIT_SECONDS"] == "7"
    assert told["CROSSROADS_DATABASE_URL"] == "postgresql://here/x"
    assert told["CROSSROADS_KAFKA_SECURITY_PROTOCOL"] == "PLAINTEXT"
    assert "CROSSROADS_KAFKA_SASL_PASSWORD" not in told
