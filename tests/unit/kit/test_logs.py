import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from services.kit.logs import configure_logging
from services.kit.settings import Settings

DSN = "postgresql://hub:s3cret@localhost/hub"
SETTINGS = Settings(database_url=DSN, kafka_bootstrap_servers="localhost:1")


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    handlers, level = logging.root.handlers, logging.root.level
    yield
    logging.root.handlers = handlers
    logging.root.setLevel(level)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_json_object_with_time_level_service_and_members() -> None:
    stream = io.StringIO()
    configure_logging(SETTINGS, "relay", stream)
    structlog.get_logger().info("topic created", topic="a", partitions=3)
    (line,) = lines(stream)
    assert line.pop("time").endswith("Z")
    assert line == {
        "message": "topic created",
        "level": "info",
        "service": "relay",
        "topic": "a",
        "partitions": 3,
    }


def test_no_secret_reaches_a_line() -> None:
    stream = io.StringIO()
    configure_logging(SETTINGS, "relay", stream)
    structlog.get_logger().info(
        "started",
        dsn=DSN,
        api_key="s3cret",
        nested={"client_secret": "s3cret", "list": [{"password": "s3cret"}, DSN]},
        text="host=a password=s3cret user=b",
    )
    assert "s3cret" not in stream.getvalue()
    assert lines(stream)[0]["dsn"] == "postgresql://hub:***@localhost/hub"


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_traceback_is_told_without_secrets_and_without_local_values(log_format: Any) -> None:
    stream = io.StringIO()
    configure_logging(SETTINGS.with_changes(log_format=log_format), "relay", stream)
    hidden = "local" + "value"
    try:
        int(f"cannot reach {DSN}")
    except ValueError:
        structlog.get_logger().exception("failed")
    assert "ValueError" in stream.getvalue()
    assert "s3cret" not in stream.getvalue()
    assert hidden not in stream.getvalue()


def test_what_is_below_the_level_is_not_written() -> None:
    stream = io.StringIO()
    configure_logging(SETTINGS.with_changes(log_level="warning"), "relay", stream)
    structlog.get_logger().info("chatter")
    assert stream.getvalue() == ""


def test_libraries_come_the_same_way_from_warning_on() -> None:
    stream = io.StringIO()
    own = logging.getLogger("faststream.access.kafka")
    own.setLevel(logging.INFO)
    own.addHandler(logging.StreamHandler(stream))
    configure_logging(SETTINGS, "relay", stream)
    own.info("Received")
    logging.getLogger("aiokafka.consumer").warning("slow: %s", DSN)
    (line,) = lines(stream)
    assert line["message"] == "slow: postgresql://hub:***@localhost/hub"
    assert (line["level"], line["service"], line["logger"]) == (
        "warning",
        "relay",
        "aiokafka.consumer",
    )


def test_invalid_text_and_strange_objects_do_not_stop_a_line() -> None:
    stream = io.StringIO()
    configure_logging(SETTINGS, "relay", stream)
    structlog.get_logger().info("odd", key="\ud800", raw=b"\xff", kind=object)
    assert lines(stream)[0]["key"] == "\ud800"


def test_what_a_client_sent_wrong_is_no_warning_of_ours() -> None:
    stream = io.StringIO()
    configure_logging(SETTINGS, "gateway", stream)
    logging.getLogger("python_multipart.multipart").warning("Did not find CR at end of boundary")
    assert lines(stream) == []
