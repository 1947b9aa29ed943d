"""The figures in words, each beside what it was compared to."""

from collections.abc import Callable, Mapping
from typing import Any


def tell(found: Mapping[str, Any]) -> None:
    """Print what was measured."""
    broker = {"kafka": "Apache Kafka", "tansu": "the embedded broker"}[found["broker"]]
    print(f"on {broker}, order-intake processes: {found['intakes']}, {found['delivery']}")
    for name, part in _PARTS.items():
        if name in found:
            part(found[name])
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


def _changes(found: Mapping[str, Any]) -> None:
    print(
        f"changes, topic to topic, {found['orders']:,} orders a round, the median round (each order"
        " created, updated, and changed by a proposal that is accepted):"
    )
    for name, run in found["median"].items():
        rates = found["rates"][name]
        spread = f"({min(rates):,.0f} to {max(rates):,.0f})"
        beside = f"beside create {_ratio(found['to_create'][name])}" if name != "create" else ""
        print(f"  {name:15}{run['records_per_second']:7,.0f} a second {spread:20} {beside}")
    print("CPU, µs an order:")
    for name, run in found["median"].items():
        print(f"  {name:15} {_cpu(run['cpu_us_per_record'])}")
    print(f"accepted to readable at {found['rate']:g} a second, ms:")
    for name, of in found["latency_ms"].items():
        print(
            f"  {name:15} p50 {of['p50']:6.1f}   p99 {of['p99']:6.1f}   worst {of['worst']:6.1f}"
            f"   beside create p50 {of['ratio_p50']:5.2f}   p99 {of['ratio_p99']:5.2f}"
        )


def _listing(found: Mapping[str, Any]) -> None:
    print(
        f"order/change/all among changes of {found['orders']:,} orders (filled in"
        f" {found['fill_seconds']:.0f} s, {found['database_gigabytes']:.1f} GB), beside one change;"
        " ms:"
    )
    for name, of in found["filters"].items():
        one, many = of["empty"], of["filled"]
        print(
            f"  {name:29} {many['rows']:5,} rows   p50 {many['p50']:7.1f}   p99 {many['p99']:7.1f}"
            f"   before {one['rows']} rows, p50 {one['p50']:5.1f}, p99 {one['p99']:5.1f}"
        )


def _operations(found: Mapping[str, Any]) -> None:
    print(f"HTTP, one call at a time with the default wait, {found['calls']:,} of each, ms:")
    for name, of in found["hub"].items():
        pending = f"   {of['pending']} pending" if of["pending"] else ""
        print(f"  {name:15} {_spread(of)}{pending}")
    print(f"  {'plain insert':15} {_spread(found['plain'])}")


def _spread(of: Mapping[str, float]) -> str:
    return f"p50 {of['p50']:6.1f}   p99 {of['p99']:6.1f}   worst {of['worst']:6.1f}"


def _callers(found: Mapping[str, Any]) -> None:
    print(
        f"{found['callers']:,} callers who wait at once; resident MB of the gateway, and of a plain"
        " service that only holds them:"
    )
    for name in ("hub", "plain"):
        of = found[name]
        answered = ", ".join(f"{count:,} {word}" for word, count in of["answered"].items())
        print(
            f"  {name:6} before {of['before_mb']:6.1f}   most {of['most_mb']:6.1f}   after"
            f" {of['after_mb']:6.1f}   {of['kb_each']:5.1f} KB each, {of['at_once']:,} at once"
        )
        print(
            f"         all there after {of['gathered_seconds']:.1f} s, all answered"
            f" {of['answered_seconds']:.1f} s later: {answered}"
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


_PARTS: dict[str, Callable[[Any], None]] = {
    "throughput": _throughput,
    "latency_ms": _latency,
    "http": _http,
    "progress": _progress,
    "pictures": _pictures,
    "changes": _changes,
    "operations": _operations,
    "callers": _callers,
    "listing": _listing,
    "memory_mb": _memory,
    "scale": _scale,
}
