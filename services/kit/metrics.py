"""Every metric of the hub, once, with its meaning; the reference page is made from this.

No order, event or user id is ever a label, a tenant only where `tenant` stands below. Looking a
child up by its labels costs a lock and a dictionary: on a hot path keep the child,
`STORED = BATCH_DURATION_SECONDS.labels(service, "store")`, and observe once a batch where the
meaning allows it.
"""

import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

PREFIX = "crossroads_"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
STAGES = ("decode", "load", "decide", "store", "publish", "commit")

REGISTRY = CollectorRegistry()
PROCESS = ProcessCollector(registry=REGISTRY)
COLLECTOR = GCCollector(registry=REGISTRY)

# Seconds: a call within one machine takes a millisecond, a command behind a lane minutes.
_SHORT = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_LONG = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0)
_RECORDS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """One entry of the catalogue: full name, `counter`, `gauge` or `histogram`, meaning, labels."""

    name: str
    kind: str
    meaning: str
    labels: tuple[str, ...]


_catalogue: list[MetricInfo] = []


def _counter(name: str, meaning: str, *labels: str) -> Counter:
    _catalogue.append(MetricInfo(PREFIX + name, "counter", meaning, labels))
    return Counter(PREFIX + name, meaning, labels, registry=REGISTRY)


def _gauge(name: str, meaning: str, *labels: str) -> Gauge:
    _catalogue.append(MetricInfo(PREFIX + name, "gauge", meaning, labels))
    return Gauge(PREFIX + name, meaning, labels, registry=REGISTRY)


def _histogram(
    name: str, meaning: str, *labels: str, buckets: tuple[float, ...] = _SHORT
) -> Histogram:
    _catalogue.append(MetricInfo(PREFIX + name, "histogram", meaning, labels))
    return Histogram(PREFIX + name, meaning, labels, registry=REGISTRY, buckets=buckets)


COMMANDS_TOTAL = _counter(
    "commands_total",
    "Results stored, by outcome: waiting, done, refused, failed or duplicate.",
    "service",
    "operation",
    "outcome",
)
COMMAND_DURATION_SECONDS = _histogram(
    "command_duration_seconds",
    "From the timestamp of a command's record until its final result was stored to be emitted.",
    "service",
    "operation",
    buckets=_LONG,
)
ORDER_END_TO_END_SECONDS = _histogram(
    "order_end_to_end_seconds",
    "From a create's record until the broker acknowledged the order on the destination's topic.",
    buckets=_LONG,
)
BATCH_SIZE = _histogram("batch_size", "Records that one transaction took in.", buckets=_RECORDS)
BATCH_DURATION_SECONDS = _histogram(
    "batch_duration_seconds",
    "What one batch spent in a stage: decode, load, decide, store, publish or commit.",
    "service",
    "stage",
)
CONSUMER_LAG_RECORDS = _gauge(
    "consumer_lag_records",
    "Records of an assigned partition before its last stable offset that are not processed yet.",
    "topic",
    "partition",
)
OLDEST_UNSYNCED_ORDER_AGE_SECONDS = _gauge(
    "oldest_unsynced_order_age_seconds",
    "Age of the oldest open order that its destination, this tenant, was not sent yet.",
    "tenant",
)
OUTBOX_RECORDS = _gauge(
    "outbox_records", "Outgoing records stored and not acknowledged, parked ones included."
)
OUTBOX_OLDEST_AGE_SECONDS = _gauge(
    "outbox_oldest_age_seconds", "Age of the oldest outgoing record that is not acknowledged."
)
MAPPING_GAPS = _gauge("mapping_gaps", "Mapping keys that orders wait for.", "entity", "tenant")
WAITING_COMMANDS = _gauge(
    "waiting_commands", "Commands told to wait and without a final result.", "reason", "tenant"
)
DEAD_LETTERS_TOTAL = _counter(
    "dead_letters_total", "Records that could not be read, by reason.", "service", "reason"
)
DUPLICATES_DROPPED_TOTAL = _counter(
    "duplicates_dropped_total",
    "Records below the partition's mark, delivered again and dropped.",
    "service",
)
LANES_REPAIRED_TOTAL = _counter(
    "lanes_repaired_total",
    "Runnable work that nobody had flagged, found by the sweeper: must stay 0.",
)
ACCOUNTING_VIOLATIONS = _gauge(
    "accounting_violations",
    "What the books say must not be, by check of `crossroads audit`: must stay 0.",
    "check",
)
HTTP_REQUESTS_TOTAL = _counter(
    "http_requests_total",
    "Answered HTTP requests, by route template and status.",
    "route",
    "status",
)
HTTP_REQUEST_DURATION_SECONDS = _histogram(
    "http_request_duration_seconds", "From an HTTP request's head until its answer.", "route"
)
DATABASE_POOL_CONNECTIONS = _gauge(
    "database_pool_connections", "Connections of this process's pool: idle or used.", "state"
)
PARTITION_STALLED = _gauge(
    "partition_stalled",
    "1 while an assigned partition with lag does not move though database and broker answer.",
    "topic",
    "partition",
)
POSITION_JUMPS_TOTAL = _counter(
    "position_jumps_total",
    "Readings that had to go on elsewhere: database-went-back, broker-replaced or log-start.",
    "service",
    "reason",
)
DEFAULT_PARTITION_ROWS = _gauge(
    "default_partition_rows",
    "Rows that found no month's partition; `crossroads db migrate` moves them.",
    "table",
)
BUILD_INFO = _gauge("build_info", "1, with what this process runs.", "service", "version", "python")


def start(service: str) -> None:
    """Sets `build_info` for a process that runs `service`; may be called again."""
    disable_created_metrics()  # type: ignore[no-untyped-call]
    try:
        release = version("crossroads")
    except PackageNotFoundError:
        release = "unreleased"
    BUILD_INFO.labels(service, release, platform.python_version()).set(1)


def catalogue() -> list[MetricInfo]:
    """Every metric, in the order they stand above."""
    return list(_catalogue)


def exposition() -> bytes:
    """What `/metrics` answers, with the media type CONTENT_TYPE."""
    return generate_latest(REGISTRY)
