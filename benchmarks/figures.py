"""Figures: percentiles, and the CPU that each process used."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True)
class Run:
    """One throughput run: records, seconds, and CPU seconds by process."""

    records: int
    seconds: float
    cpu: Mapping[str, float]

    @property
    def rate(self) -> float:
        return self.records / self.seconds

    @property
    def cpu_us(self) -> dict[str, float]:
        """Microseconds of CPU a record, by process."""
        return {name: used / self.records * 1e6 for name, used in self.cpu.items()}


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


def median(runs: Sequence[Run]) -> Run:
    """The run in the middle, by rate."""
    return sorted(runs, key=lambda run: run.rate)[len(runs) // 2]


def _seconds(pid: int) -> float:
    process = psutil.Process(pid)
    found = 0.0
    for each in [process, *process.children(recursive=True)]:
        try:
            times = each.cpu_times()
        except psutil.NoSuchProcess:
            continue
        found += times.user + times.system
    return found
