import os
from pathlib import Path

import pytest

from services.kit.errors import SettingsInvalid
from services.kit.settings import Settings, load_settings, redacted, redacted_address

GOOD = {
    "CROSSROADS_DATABASE_URL": "postgresql://hub:s3cret@localhost:5432/hub",
    "CROSSROADS_KAFKA_BOOTSTRAP_SERVERS": "localhost:9092, [::1]:9093",
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.upper().startswith("CROSSROADS_"):
            monkeypatch.delenv(name)
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_what_is_not_set_has_the_documented_default(environment: pytest.MonkeyPatch) -> None:
    settings = load_settings()
    assert settings.kafka_bootstrap_servers == "localhost:9092,[::1]:9093"
    assert (settings.http_host, settings.http_port, settings.metrics_port) == ("127.0.0.1", 8080, 0)
    assert (settings.session_timeout_seconds, settings.lane_wait_seconds) == (30, 900)
    assert (settings.delivery, settings.manage_topics) == ("at-least-once", True)
    assert (settings.log_format, settings.deployment) == ("json", "crossroads")
    assert settings.reading_address == settings.database_url


@pytest.mark.parametrize("infix", ["KAFKA_", ""])
def test_both_spellings_of_the_session_timeout_are_taken(
    environment: pytest.MonkeyPatch, infix: str
) -> None:
    environment.setenv(f"CROSSROADS_{infix}SESSION_TIMEOUT_SECONDS", "45")
    assert load_settings().session_timeout_seconds == 45


def test_all_problems_are_told_at_once_by_variable_and_without_any_value(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv("CROSSROADS_DATABASE_URL", "mysql://hub:hunter2@localhost/hub")
    environment.delenv("CROSSROADS_KAFKA_BOOTSTRAP_SERVERS")
    environment.setenv("CROSSROADS_KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
    environment.setenv("CROSSROADS_KAFKA_SASL_USERNAME", "hub")
    environment.setenv("CROSSROADS_KAFKA_SSL_KEYFILE", "/nowhere/hunter2")
    environment.setenv("CROSSROADS_HTTP_PORT", "hunter2")
    environment.setenv("CROSSROADS_KAFKA_SESSION_TIMEOUT_SECONDS", "soon")
    environment.setenv("CROSSROADS_HTTP_RATE_LIMIT", "some")
    environment.setenv("CROSSROADS_LANE_WAIT_SECONDS", "nan")
    with pytest.raises(SettingsInvalid) as caught:
        load_settings()
    assert {problem.split()[0].rstrip(":") for problem in caught.value.problems} == {
        "CROSSROADS_DATABASE_URL",
        "CROSSROADS_KAFKA_BOOTSTRAP_SERVERS",
        "CROSSROADS_KAFKA_SASL_MECHANISM",
        "CROSSROADS_KAFKA_SASL_PASSWORD",
        "CROSSROADS_KAFKA_SSL_KEYFILE",
        "CROSSROADS_HTTP_PORT",
        "CROSSROADS_KAFKA_SESSION_TIMEOUT_SECONDS",
        "CROSSROADS_HTTP_RATE_LIMIT",
        "CROSSROADS_LANE_WAIT_SECONDS",
    }
    assert "CROSSROADS_KAFKA_BOOTSTRAP_SERVERS is not set" in caught.value.problems
    assert "hunter2" not in str(caught.value)


def test_a_key_without_its_certificate_is_a_problem(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    key = tmp_path / "key.pem"
    key.write_text("key")
    environment.setenv("CROSSROADS_KAFKA_SSL_KEYFILE", str(key))
    with pytest.raises(SettingsInvalid, match="CROSSROADS_KAFKA_SSL_CERTFILE"):
        load_settings()


def test_variables_win_over_the_file_and_overrides_over_both(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("CROSSROADS_HTTP_PORT=1\nCROSSROADS_METRICS_PORT=2\nOTHER=3\n")
    environment.setenv("CROSSROADS_HTTP_PORT", "4")
    settings = load_settings({"log_level": "error", "session_timeout_seconds": 9})
    assert (settings.http_port, settings.metrics_port) == (4, 2)
    assert (settings.log_level, settings.session_timeout_seconds) == ("error", 9)


def test_an_unreadable_file_is_a_problem_and_not_a_traceback(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_bytes(b"CROSSROADS_HTTP_HOST=\xff\n")
    with pytest.raises(SettingsInvalid, match=r"\.env"):
        load_settings()


@pytest.mark.parametrize("value", ["exactly-once", "Exactly-Once"])
def test_delivery_exactly_once_can_be_asked_for(
    environment: pytest.MonkeyPatch, value: str
) -> None:
    environment.setenv("CROSSROADS_DELIVERY", value)
    assert load_settings().delivery == "exactly-once"


def test_a_delivery_nobody_knows_is_refused_at_once(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("CROSSROADS_DELIVERY", "at-most-once")
    with pytest.raises(SettingsInvalid) as caught:
        load_settings()
    assert caught.value.problems == [
        "CROSSROADS_DELIVERY: Input should be 'at-least-once' or 'exactly-once'"
    ]


def test_an_empty_variable_counts_as_unset(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("CROSSROADS_DATABASE_READ_URL", "")
    assert load_settings().database_read_url is None


def test_what_is_shown_has_every_variable_and_no_secret(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("CROSSROADS_KAFKA_SASL_PASSWORD", "s3cret")
    settings = load_settings()
    shown = redacted(settings)
    assert len(shown) == len(Settings.model_fields)
    assert shown["CROSSROADS_DATABASE_URL"] == "postgresql://hub:***@localhost:5432/hub"
    assert shown["CROSSROADS_KAFKA_SASL_PASSWORD"] == "***"
    assert shown["CROSSROADS_MANAGE_TOPICS"] == "true"
    assert shown["CROSSROADS_HTTP_RATE_LIMIT"] == ""
    assert "s3cret" not in repr(settings)
    assert "s3cret" not in str(shown)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql:///hub?host=/run&password=x", "postgresql:///hub?host=/run&password=***"),
        ("postgresql://hub:a@b@localhost/hub", "postgresql://hub:***@localhost/hub"),
        ("postgresql://localhost/hub", "postgresql://localhost/hub"),
        ("postgresql://[oops", "***"),
    ],
)
def test_a_password_is_hidden_wherever_it_stands(address: str, shown: str) -> None:
    assert redacted_address(address) == shown
