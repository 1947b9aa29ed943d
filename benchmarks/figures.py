"""Figures: percentiles, and the CPU that each process used."""

import statistics
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psutil
from prometheus_client.parser import text_string_to_metric_families


@dataclass(frozen=True, slots=True)
class Run:
    """One throughput run: records, seconds, CPU seconds by process, and seconds by stage."""

    records: int
    seconds: float
    cpu: Mapping[str, float]
    stages: Mapping[str, float] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        return self.records / self.seconds

    @property
    def cpu_us(self) -> dict[str, float]:
        """Microseconds of CPU a record, by process."""
        return {name: used / self.records * 1e6 for name, used in self.cpu.items()}

    @property
    def stage_us(self) -> dict[str, float]:
        """Microseconds a record that the intake's batches spent in each stage, by the clock."""
        return {name: spent / self.records * 1e6 for name, spent in self.stages.items()}


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from accepted to readable."""

    p50: float
    p99: float
    worst: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Latency":
        cuts = statistics.quantiles(seconds, n=100, method="inclusive")
        return cls(cuts[49] * 1000, cuts[98] * 1000, max(seconds) * 1000)

    def told(self) -> dict[str, float]:
        return {"p50": self.p50, "p99": self.p99, "worst": self.worst}


class Cpu:
    """The CPU seconds of processes and their children since this was made."""

    def __init__(self, pids: Mapping[str, Iterable[int]]) -> None:
        self._pids = {name: list(of_name) for name, of_name in pids.items()}
        self._began = self._now()

    def used(self) -> dict[str, float]:
        now = self._now()
        return {name: now[name] - self._began[name] for name in now}

    def _now(self) -> dict[str, float]:
        return {name: sum(_seconds(pid) for pid in of_name) for name, of_name in self._pids.items()}


def stages_of(metrics: str) -> dict[str, float]:
    """The seconds that batches spent by stage, of a worker's /metrics page."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            if sample.name == "crossroads_batch_duration_seconds_sum":
                stage = sample.labels["stage"]
                found[stage] = found.get(stage, 0.0) + sample.value
    return found


def median(runs: Sequence[Run]) -> Run:
    """The run in the middle, by rate."""
    return sorted(runs, key=lambda run: run.rate)[len(runs) // 2]


def told(run: Run) -> dict[str, Any]:
    """A run as it is printed."""
    found: dict[str, Any] = {
        "records_per_second": run.rate,
        "records": run.records,
        "cpu_us_per_record": run.cpu_us,
    }
    return found | ({"stage_us_per_order": run.stage_us} if run.stages else {})


def ratios(one: Sequence[float], other: Sequence[float]) -> dict[str, float]:
    """Of each round by itself: what else the machine does moves both sides of it."""
    of = [mine / theirs for mine, theirs in zip(one, other, strict=True)]
    return {"median": statistics.median(of), "least": min(of), "most": max(of)}


async def rounds_beside_create(
    one_round: Callable[[], Awaitable[Mapping[str, Run]]], rounds: int
) -> dict[str, Any]:
    """Rounds of one run of each name after the other: rates, medians, and each beside `create`.

    One round more goes first and does not count: it warms partitions and processes.
    """
    await one_round()
    told_of = [await one_round() for _ in range(rounds)]
    runs = {name: [each[name] for each in told_of] for name in told_of[0]}
    rates = {name: [run.rate for run in of] for name, of in runs.items()}
    return {
        "rates": rates,
        "median": {name: told(median(of)) for name, of in runs.items()},
        "to_create": {
            name: ratios(of, rates["create"]) for name, of in rates.items() if name != "create"
        },
    }


def _seconds(pid: int) -> float:
    """Of a process and its children, those that ended among them."""
    process = psutil.Process(pid)
    found = 0.0
    for each in [process, *process.children(recursive=True)]:
        try:
            times = each.cpu_times()
        except psutil.NoSuchProcess:
            continue
        found += times.user + times.system + times.children_user + times.children_system
    return found
