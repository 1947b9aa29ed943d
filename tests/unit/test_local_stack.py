import pytest

from services.kit.errors import SettingsInvalid
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


@pytest.mark.parametrize("said", ["exactly-once", "Exactly-Once"])
def test_a_broker_without_transactions_is_refused_where_they_are_asked_for(monkeypatch, said):
    monkeypatch.setenv("CROSSROADS_DELIVERY", said)
    with pytest.raises(LocalError, match="the embedded broker cannot do"):
        StackOptions()
    assert StackOptions(broker="kafka").broker == "kafka"


def test_a_delivery_asked_for_in_the_file_counts_too_and_one_nobody_knows_is_named(
    monkeypatch, tmp_path
):
    monkeypatch.delenv("CROSSROADS_DELIVERY", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("CROSSROADS_DELIVERY=exactly-once\n")
    with pytest.raises(LocalError, match="the embedded broker cannot do"):
        StackOptions()
    (tmp_path / ".env").write_text("CROSSROADS_DELIVERY=twice\n")
    with pytest.raises(SettingsInvalid, match="CROSSROADS_DELIVERY"):
        StackOptions()
