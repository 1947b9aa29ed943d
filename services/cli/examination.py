"""What `crossroads doctor` looks at, each by itself: one that fails does not hide the others."""

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from services.cli import doctor_batches, doctor_growth, doctor_reading, topics
from services.cli.errors import explain
from services.cli.logs_of_topics import Logs, Mark, input_logs, marks
from services.cli.output import age
from services.cli.session import database
from services.domain.accounting import problems
from services.kit import migrations
from services.kit.database import Connection
from services.kit.placement import judge
from services.kit.settings import Settings
from services.local.directory import running_stack
from services.records import accounting, intake, overview
from services.records import months as partitions

OK, NOTICE, PROBLEM = "ok", "notice", "problem"
# Seconds between this machine's clock and the database's.
_SKEW_SECONDS = 2.0
_DISK_SHARE = 90.0
# Seconds after which the intake's clock is told to stand.
_CLOCK_SECONDS = 60.0
_FAULTS = """
SELECT consumer_group, topic, count(*) AS n, max(happened_at) AS latest,
    (array_agg(error ORDER BY id DESC))[1] AS error
FROM stream_faults WHERE happened_at > now() - interval '24 hours'
GROUP BY 1, 2 ORDER BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found; `remedy` says what to do about it."""

    check: str
    state: str
    detail: str
    remedy: str = ""


Check = Callable[[], Awaitable[list[Finding]]]


async def examine(settings: Settings, data: Path) -> list[Finding]:
    """Every finding, in the order of the checks."""
    in_database: Sequence[tuple[str, Callable[[Connection], Awaitable[list[Finding]]]]] = (
        ("clock", clock),
        ("faults", faults),
        ("lanes", lanes),
        ("books", books),
        ("months", lambda connection: months(connection, settings)),
        ("commands", lambda connection: commands(connection, settings)),
        ("vacuum", vacuum),
        ("parked", parked),
        ("batches", batches),
    )
    checks: list[tuple[str, Check]] = [
        ("schema", lambda: schema(settings)),
        ("topics", lambda: topic_differences(settings)),
        ("positions", lambda: read_positions(settings)),
        ("reading", lambda: reading(settings)),
    ]
    checks += [(name, _with_database(settings, look)) for name, look in in_database]
    found: list[Finding] = []
    for name, check in checks:
        found += await _told(name, check)
    return [*found, *disk(data)]


async def _told(name: str, check: Check) -> list[Finding]:
    try:
        return await check() or [Finding(name, OK, "")]
    except Exception as error:
        told = explain(error)
        if told is None:
            raise
        return [Finding(name, PROBLEM, f"could not be looked at: {told.message}")]


def _with_database(
    settings: Settings, check: Callable[[Connection], Awaitable[list[Finding]]]
) -> Check:
    async def run() -> list[Finding]:
        async with database(settings) as connection:
            return await check(connection)

    return run


async def schema(settings: Settings) -> list[Finding]:
    """Migrations that are pending, were changed, or belong to a newer program."""
    found = await migrations.status(settings.database_url)
    states = Counter(str(each.state) for each in found)
    findings = [
        Finding("schema", PROBLEM, f"{states[state]} migrations {state}", remedy)
        for state, remedy in (
            ("pending", "crossroads db migrate"),
            ("changed", "restore the files that were applied"),
        )
        if states[state]
    ]
    if states["unknown"]:
        findings.append(Finding("schema", NOTICE, "the schema is newer than this program"))
    latest = max((each.version for each in found if each.state == "applied"), default=0)
    return findings or [Finding("schema", OK, f"version {latest:04d}")]


async def reading(settings: Settings) -> list[Finding]:
    """Whether the gateway's reading role is bound by row-level security (guarantee 6)."""
    found = await doctor_reading.unbound(settings)
    return [
        Finding("reading", PROBLEM if open_to_all else NOTICE, told, remedy)
        for open_to_all, told, remedy in found
    ]


async def topic_differences(settings: Settings) -> list[Finding]:
    """Topics that are missing, or are not as the catalogue wants them."""
    differing = await topics.differences(settings)
    missing = [each.topic for each in differing if each.found is None]
    lacking = [each for each in differing if each.topic not in missing]
    findings = []
    if missing:
        told = ", ".join(missing[:5]) + (", …" if len(missing) > 5 else "")
        findings.append(
            Finding("topics", PROBLEM, f"{len(missing)} missing: {told}", "crossroads topics apply")
        )
    if lacking:
        told = f"{len(lacking)} settings are not as the catalogue wants them"
        findings.append(Finding("topics", NOTICE, told, "crossroads topics diff"))
    return findings


async def read_positions(settings: Settings) -> list[Finding]:
    """Marks below or above their logs, and marks of brokers that were here before."""
    logs = await input_logs(settings)
    async with database(settings) as connection:
        return judged(logs, await marks(connection))


def judged(logs: Logs, read: Sequence[Mark]) -> list[Finding]:
    """What the marks say for these logs: `lost` needs a decision, `shorter` is told."""
    findings = []
    for mark in read:
        ends = logs.ends.get(mark.partition)
        if mark.cluster_id != logs.cluster_id or ends is None:
            continue
        name, number = mark.partition.topic, mark.partition.partition
        place = f"{mark.group} stands at {mark.next_offset} of {name}/{number}"
        match judge(mark.next_offset, ends):
            case "lost":
                findings.append(
                    Finding(
                        "positions",
                        PROBLEM,
                        f"{place}, which begins at {ends.start}: records were never read",
                        f"crossroads doctor accept-loss {name} {number} --group {mark.group} "
                        "--reason …",
                    )
                )
            case "shorter":
                told = f"{place}, which ends at {ends.end}: the topic was made anew"
                findings.append(Finding("positions", PROBLEM, told))
            case "go-on":
                pass
    others = sorted({mark.cluster_id for mark in read} - {logs.cluster_id})
    if others:
        findings.append(
            Finding("positions", NOTICE, f"marks of earlier brokers: {', '.join(others)}")
        )
    return findings


async def clock(connection: Connection) -> list[Finding]:
    """How far this machine's clock is from the database's."""
    before = time.time()
    there: float = await connection.fetchval("SELECT extract(epoch FROM clock_timestamp())::float8")
    skew = there - (before + time.time()) / 2
    state = PROBLEM if abs(skew) > _SKEW_SECONDS else OK
    remedy = "synchronise both clocks" if state == PROBLEM else ""
    return [Finding("clock", state, f"the database is {skew:+.3f} s from here", remedy)]


async def faults(connection: Connection) -> list[Finding]:
    """Records given up because of unforeseen failures, of the last 24 hours."""
    return [
        Finding(
            "faults",
            PROBLEM,
            f"{row['n']} records of {row['topic']} were given up by {row['consumer_group']} within "
            f"24 hours, the latest {age(row['latest'])}: {row['error']}",
            "crossroads dead-letters list --reason unforeseen",
        )
        for row in await connection.fetch(_FAULTS)
    ]


async def lanes(connection: Connection) -> list[Finding]:
    """Work that nobody had flagged, which must not be; waits whose time does not count."""
    found = []
    standing = await intake.standing(connection, _CLOCK_SECONDS)
    if standing is not None:
        last = "never yet" if standing.kept_up_at is None else f"last {age(standing.kept_up_at)}"
        told = (
            f"{standing.commands} commands wait for numbers of no order, and their time does not"
            f" count: order-intake does not keep up with its input ({last} it did)"
        )
        found.append(Finding("lanes", NOTICE, told, "see that order-intake is up, and its lag"))
    row = await connection.fetchrow(
        "SELECT count(*) AS n, max(repaired_at) AS latest FROM lane_repairs"
    )
    if row is not None and row["n"]:
        told = f"{row['n']} lanes had to be repaired, the latest {age(row['latest'])}"
        found.append(Finding("lanes", PROBLEM, told, "report it, with the log of that time"))
    return found


async def books(connection: Connection) -> list[Finding]:
    """Whether every accepted command is accounted for."""
    wrong = problems(await accounting.count(connection))
    return [Finding("books", PROBLEM, each, "crossroads audit") for each in wrong]


async def months(connection: Connection, settings: Settings) -> list[Finding]:
    """Rows that found no month's partition, months that will soon have none, and old ones."""
    remedy = "crossroads db migrate"
    findings = [
        Finding("months", NOTICE, f"{rows} rows stand in {table}_default", remedy)
        for table, rows in (await partitions.measure(connection)).items()
        if rows
    ]
    lacking = await partitions.missing(connection)
    if lacking:
        findings.append(Finding("months", NOTICE, f"not there: {', '.join(lacking)}", remedy))
    return [
        *findings,
        *_findings("months", NOTICE, await doctor_growth.overdue_months(connection, settings)),
    ]


async def commands(connection: Connection, settings: Settings) -> list[Finding]:
    """Commands that should have been forgotten by now."""
    told = await doctor_growth.overdue_commands(connection, settings)
    return _findings("commands", PROBLEM, told)


async def vacuum(connection: Connection) -> list[Finding]:
    """Why dead rows stay, and where they became many."""
    return _findings("vacuum", PROBLEM, await doctor_growth.vacuum(connection))


def _findings(check: str, state: str, told: list[doctor_growth.Told]) -> list[Finding]:
    return [Finding(check, state, detail, remedy) for detail, remedy in told]


async def parked(connection: Connection) -> list[Finding]:
    """Outgoing records that stand aside because their topic takes none."""
    return [
        Finding(
            "parked",
            PROBLEM,
            f"{row['records']} records for {row['topic']}, {row['refused']} refused by themselves, "
            f"the oldest {age(row['since'])}",
            "crossroads topics diff",
        )
        for row in await overview.parked_topics(connection)
    ]


async def batches(connection: Connection) -> list[Finding]:
    """Batches of a relay that delivers exactly once, of which nobody knows yet what became."""
    return [
        Finding(
            "batches",
            PROBLEM,
            f"batch {each.number} of shard {each.shard}, {each.records} records, is not settled, "
            f"stored {age(each.since)}: no relay runs, or none can tell whether it was published",
            f"see the relay's log; crossroads doctor settle-batch {each.shard}",
        )
        for each in await doctor_batches.old_batches(connection)
    ]


def disk(data: Path) -> list[Finding]:
    """How full the disk is that the running stack's data stands on."""
    if running_stack(data) is None:
        return []
    usage: Any = psutil.disk_usage(str(data))
    told = f"{usage.percent:.0f} % used, {usage.free / 1e9:.1f} GB free for {data}"
    return [Finding("disk", PROBLEM if usage.percent > _DISK_SHARE else OK, told)]
