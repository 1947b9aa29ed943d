import subprocess
import sys

import pytest
from prometheus_client.parser import text_string_to_metric_families

from services.kit import metrics

DOCUMENTED = {
    "commands_total": {"service", "operation", "outcome"},
    "command_duration_seconds": {"service", "operation"},
    "order_end_to_end_seconds": set(),
    "batch_size": set(),
    "batch_duration_seconds": {"service", "stage"},
    "consumer_lag_records": {"topic", "partition"},
    "oldest_unsynced_order_age_seconds": {"tenant"},
    "outbox_records": set(),
    "outbox_oldest_age_seconds": set(),
    "mapping_gaps": {"entity", "tenant"},
    "waiting_commands": {"reason", "tenant"},
    "dead_letters_total": {"service", "reason"},
    "duplicates_dropped_total": {"service"},
    "lanes_repaired_total": set(),
    "http_requests_total": {"route", "status"},
    "http_request_duration_seconds": {"route"},
    "database_pool_connections": {"state"},
    "partition_stalled": {"topic", "partition"},
    "build_info": {"service", "version", "python"},
}


@pytest.mark.parametrize("name", DOCUMENTED)
def test_every_documented_metric_is_in_the_catalogue_with_its_labels(name: str) -> None:
    (entry,) = [m for m in metrics.catalogue() if m.name == f"crossroads_{name}"]
    assert set(entry.labels) == DOCUMENTED[name]
    assert entry.meaning.endswith(".")


def test_no_label_is_an_id() -> None:
    labels = {label for entry in metrics.catalogue() for label in entry.labels}
    assert not {label for label in labels if label.endswith("_id") or label in {"order", "event"}}


def test_the_exposition_has_exactly_the_catalogue_and_the_process() -> None:
    script = (
        "from services.kit import metrics; import sys; metrics.start('relay');"
        "metrics.COMMANDS_TOTAL.labels('relay', 'order.create', 'done').inc();"
        "metrics.BATCH_SIZE.observe(3); sys.stdout.buffer.write(metrics.exposition())"
    )
    text = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout
    families = {family.name: family for family in text_string_to_metric_families(text.decode())}
    ours = {name for name in families if name.startswith("crossroads_")}
    assert ours == {entry.name.removesuffix("_total") for entry in metrics.catalogue()}
    assert "process_resident_memory_bytes" in families
    (build,) = families["crossroads_build_info"].samples
    assert build.labels["service"] == "relay"
    (sample,) = families["crossroads_commands"].samples
    assert (sample.name, sample.value) == ("crossroads_commands_total", 1.0)
