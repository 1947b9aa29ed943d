"""The figures in words, each beside what it was compared to."""

from collections.abc import Mapping
from typing import Any


def tell(found: Mapping[str, Any]) -> None:
    """Print what was measured."""
    broker = {"kafka": "Apache Kafka", "tansu": "the embedded broker"}[found["broker"]]
    print(f"on {broker}, order-intake processes: {found['intakes']}")
    if "throughput" in found:
        _throughput(found["throughput"])
    if "latency_ms" in found:
        _latency(found["latency_ms"])
    if "http" in found:
        _http(found["http"])
    if "progress" in found:
        _progress(found["progress"])
    if "pictures" in found:
        _pictures(found["pictures"])
    if "memory_mb" in found:
        _memory(found["memory_mb"])
    if "scale" in found:
        _scale(found["scale"])
    for what, why in found["left_out"].items():
        print(f"left out: {what}: {why}")


def _throughput(found: Mapping[str, Any]) -> None:
    print(f"create, topic to topic, {found['orders']:,} orders a round, the median round:")
    for name, run in found["median"].items():
        rates = found["rates"][name]
        ratio = f"hub/{name} {_ratio(found['ratio'][name])}" if name != "hub" else ""
        spread = f"({min(rates):,.0f} to {max(rates):,.0f})"
        print(f"  {name:7}{run['records_per_second']:9,.0f} a second {spread:20} {ratio}")
    print("CPU, µs each:")
    for name, run in found["median"].items():
        print(f"  {name:7} {_cpu(run['cpu_us_per_record'])}")
    stages = found["median"]["hub"]["stage_us_per_order"].items()
    told = ", ".join(f"{name} {spent:.0f}" for name, spent in stages)
    print(f"order-intake, µs an order by the clock: {told}")


def _latency(found: Mapping[str, Any]) -> None:
    print(f"accepted to readable at {found['rate']:g} orders/s, ms:")
    for name in ("hub", "limit"):
        of = found[name]
        print(f"  {name:7} p50 {of['p50']:6.1f}   p99 {of['p99']:6.1f}   worst {of['worst']:6.1f}")
    print(f"  ratio   p50 {found['ratio_p50']:6.1f}   p99 {found['ratio_p99']:6.1f}")


def _http(found: Mapping[str, Any]) -> None:
    print(f"create over HTTP with wait, {found['connections']} at a time, the median round:")
    for name in ("hub", "plain"):
        of = found[name]
        print(
            f"  {name:7}{of['requests_per_second']:9,.0f} a second   p50 {of['p50_ms']:6.1f} ms"
            f"   p99 {of['p99_ms']:6.1f} ms"
        )
        print(f"          CPU, µs each: {_cpu(of['cpu_us_per_request'])}")
    print(f"  ratio  {found['ratio']:9.2f}")


def _progress(found: Mapping[str, Any]) -> None:
    print(
        f"topic to topic, {found['commands']:,} commands a round, the median round"
        " (a mixed day: one create, nine statuses, two papers an order):"
    )
    for name, run in found["median"].items():
        rates = found["rates"][name]
        spread = f"({min(rates):,.0f} to {max(rates):,.0f})"
        beside = f"beside create {_ratio(found['to_create'][name])}" if name != "create" else ""
        print(f"  {name:14}{run['records_per_second']:7,.0f} a second {spread:20} {beside}")
    print("CPU, µs a command:")
    for name, run in found["median"].items():
        print(f"  {name:14} {_cpu(run['cpu_us_per_record'])}")
    stages = found["median"]["update_status"]["stage_us_per_order"].items()
    spent = ", ".join(f"{name} {each:.0f}" for name, each in stages)
    print(f"status-update, µs a status by the clock: {spent}")
    told = found["latency_ms"]
    print(f"accepted to readable at {found['rate']:g} a second, ms:")
    for name in ("create", "update_status"):
        of = told[name]
        print(f"  {name:14} p50 {of['p50']:6.1f}   p99 {of['p99']:6.1f}   worst {of['worst']:6.1f}")
    print(f"  {'ratio':14} p50 {told['ratio_p50']:6.2f}   p99 {told['ratio_p99']:6.2f}")


def _pictures(found: Mapping[str, Any]) -> None:
    size, count = found["bytes"] / 1e6, found["at_once"]
    print(
        f"pictures of {size:.1f} MB over HTTP, {count} one by one and {count} at once"
        f" ({size * count:.0f} MB); resident MB of the gateway, and of a plain service that reads a"
        " body and inserts it:"
    )
    for name in ("hub", "plain"):
        for way, words in (("one", "one by one"), ("many", "at once")):
            of = found[name][way]
            print(
                f"  {name:6}{words:11} before {of['before_mb']:6.1f}   most {of['most_mb']:6.1f}"
                f"   after {of['after_mb']:6.1f}   {of['pictures_per_second']:5.1f} a second"
                f"   p50 {of['p50_ms']:7.1f} ms   worst {of['worst_ms']:7.1f} ms"
            )


def _scale(found: Mapping[str, Any]) -> None:
    print(
        f"among {found['orders']:,} orders (filled in {found['fill_seconds']:.0f} s,"
        f" {found['database_gigabytes']:.1f} GB):"
    )
    for state in ("before", "filled"):
        of = found[state]
        rate = of["records_per_second"]
        print(f"  {state:7}{rate:9,.0f} orders/s   CPU, µs each: {_cpu(of['cpu_us_per_record'])}")
    print(f"  CPU filled/before {found['cost_ratio']:.2f}, pace {found['rate_ratio']:.2f}")
    got = found["get_ms"]
    print(f"  get by number, ms: p50 {got['p50']:.1f}   p99 {got['p99']:.1f}")


def _memory(found: Mapping[int, Mapping[str, float]]) -> None:
    names = list(next(iter(found.values())))
    print("memory of the hub's processes, resident MB, after so many orders more:")
    print("  " + " " * 9 + "".join(f"{name:>17}" for name in names))
    for orders, held in found.items():
        print(f"  {orders:9,}" + "".join(f"{held.get(name, 0):17.1f}" for name in names))


def _ratio(of: Mapping[str, float]) -> str:
    return f"{of['median']:.2f} ({of['least']:.2f} to {of['most']:.2f})"


def _cpu(used: Mapping[str, float]) -> str:
    each = ", ".join(f"{name} {us:.0f}" for name, us in used.items())
    return f"{each}; sum {sum(used.values()):.0f}"
