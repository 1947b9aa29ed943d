"""The last acts: what was broken, what was killed, and the accounting that proves the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import httpx
import tenacity

from services.cli.audit import take
from services.cli.demo.broken import BrokenRecord
from services.cli.demo.checks import differences, received
from services.cli.demo.day import DayOrder
from services.cli.demo.reading import Seen
from services.cli.demo.sending import Position
from services.cli.demo.stage import DEAD_LETTERS, Stage
from services.cli.demo.trade import ORIGIN
from services.domain.accounting import problems, report
from services.kit.settings import load_settings

_PATIENCE_SECONDS = 60.0
_DEALT = (
    *("order.update", "change.propose", "change.accept", "change.reject", "order.cancel"),
    *("order.receipt", "order.request-accept", "order.request-reject"),
)
_SAID = ("order.update-status", "order.save-bol", "order.save-drop", "order.save-bol-image")


async def broken_records_end(stage: Stage) -> None:
    """Each broken record is one dead letter, as it came; its neighbours have passed long since."""
    tell = stage.tell
    tell.act("Broken records end in the dead-letter topic, and nowhere else")
    await stage.watch.until(
        lambda: stage.broken.keys() <= _letters(stage).keys(),
        "every broken record has its dead letter",
        seconds=_PATIENCE_SECONDS,
    )
    letters = _letters(stage)
    tell.check(
        f"{len(stage.broken)} broken records, {len(letters)} dead letters, one each",
        letters.keys() == stage.broken.keys(),
        f"Dead letters of others: {sorted(letters.keys() - stage.broken.keys())[:5]}",
    )
    wrong = [
        told
        for position, record in stage.broken.items()
        if (told := _misstated(record, letters[position])) is not None
    ]
    tell.check("each as it came, with its reason", not wrong, "; ".join(wrong[:5]))
    counts = Counter((record.kind, record.reason) for record in stage.broken.values())
    tell.table(
        ("what was wrong", "reason", "records"),
        [(kind, reason, count) for (kind, reason), count in sorted(counts.items())],
    )


def _letters(stage: Stage) -> dict[Position, Seen]:
    found = {}
    for seen in stage.watch.of(DEAD_LETTERS):
        named = seen.named
        place = [named[f"x-dead-letter-{part}"] for part in ("topic", "partition", "offset")]
        found[place[0], int(place[1]), int(place[2])] = seen
    return found


def _misstated(record: BrokenRecord, letter: Seen) -> str | None:
    reason = letter.named["x-dead-letter-reason"]
    if reason != record.reason:
        return f"{record.kind}: {reason} instead of {record.reason}"
    untouched = letter.headers[: len(record.headers)] == tuple(record.headers)
    if not untouched or (letter.key, letter.value) != (record.key, record.value):
        return f"{record.kind}: the dead letter is not the record as it came"
    return None


async def nothing_lost_or_repeated(stage: Stage) -> None:
    """Every order once at its destination, as it was meant; every command one final answer."""
    tell = stage.tell
    *others, last = stage.summary["killed"]
    killed = f"{', '.join(others)} and {last}"
    tell.act(f"After the deaths of {killed}: nothing lost, nothing repeated")
    told_failed = {
        record.legible_id
        for record in stage.broken.values()
        if record.legible_id is not None and record.reason != "unknown-tenant"
    }
    steps = {step.command_id for trip in stage.trips for step in trip.steps}
    said = steps | stage.untold | stage.refused

    def answered() -> bool:
        stage.read_on()
        answers = stage.answers
        done = stage.orders.keys() | told_failed
        heard = {command for book in stage.haulers.values() for command in book.final}
        return (
            done <= answers.final.keys()
            and said <= heard
            and len(answers.duplicates) >= len(stage.day.repeats)
        )

    await stage.watch.until(
        answered, "every command has its final answer", seconds=_PATIENCE_SECONDS
    )
    _check_orders(stage, told_failed)
    _check_ways(stage, steps)
    _check_dealt(stage)
    books = (stage.deliveries, stage.ways, stage.answers, *stage.haulers.values())
    wrong = [sentence for book in books for sentence in book.wrong]
    repeats = sum(book.repeats for book in books)
    tell.check(
        f"no id came with other bytes; {repeats} records came again as they were, as at-least-once"
        " allows",
        not wrong,
        "; ".join(wrong[:5]),
    )
    stage.summary["repeats"] = repeats


def _check_orders(stage: Stage, told_failed: set[str]) -> None:
    """The dispatcher's side: what was sent, what was delivered of it, what was answered."""
    tell, answers = stage.tell, stage.answers
    wanted = {(order.destination, order.number) for order in stage.orders.values()}
    found = stage.deliveries.orders.keys()
    tell.check(
        f"{len(wanted)} orders were sent, {len(found)} stand on their destinations' topics",
        found == wanted,
        f"Lost: {sorted(wanted - found)[:5]}; unasked for: {sorted(found - wanted)[:5]}",
    )
    different = [
        f"{order.number}: {told[0]}"
        for order in stage.orders.values()
        if order.wanted and (told := _differences(stage, order))
    ]
    tell.check(
        "each says what was meant, in its reader's own ids", not different, "; ".join(different[:3])
    )
    done = answers.of_outcome("done") >= stage.orders.keys()
    failed = answers.of_outcome("failed")
    tell.check("each order's command has one final answer: done", done)
    tell.check(
        "each broken record whose sender can be told, too: failed",
        failed == told_failed,
        f"{sorted(map(str, failed ^ told_failed))[:5]}",
    )
    tell.check(
        f"the {len(stage.day.repeats)} records sent twice were answered `duplicate`, once each",
        sorted(answers.duplicates) == sorted(order.command_id for order in stage.day.repeats),
        str(answers.duplicates[:5]),
    )


def _check_ways(stage: Stage, steps: set[str]) -> None:
    """The haulers' side: what they said, what they were answered, what was told of it."""
    tell, ways = stage.tell, stage.ways.told
    tell.check(
        f"{len(steps)} statuses and papers were said, {len(ways)} told to the orders' sender",
        ways.keys() == steps,
        f"Lost: {sorted(steps - ways.keys())[:5]}; unasked for: {sorted(ways.keys() - steps)[:5]}",
    )
    done, refused = (_heard(stage, outcome) for outcome in ("done", "refused"))
    tell.check(
        "each of them has one final answer: done",
        (done, refused) == (steps | stage.untold, stage.refused),
        f"{sorted(done ^ (steps | stage.untold))[:5]} {sorted(refused ^ stage.refused)[:5]}",
    )


def _check_dealt(stage: Stage) -> None:
    """Changes, acceptances, receipts and cancels: each answered, and told to whom it concerns."""
    found = {
        command: (slug, seen.document["operation"], seen.document["outcome"])
        for slug in (ORIGIN, *stage.haulers)
        for command, seen in stage.answers_of(slug).final.items()
        if seen.document["operation"] in _DEALT or command in stage.dealt
    }
    stage.tell.check(
        f"{len(stage.dealt)} commands changed, settled or canceled single orders: one final answer"
        " each, as it was told above",
        found == stage.dealt,
        f"{sorted(found.items() ^ stage.dealt.items())[:5]}",
    )
    told = stage.deliveries.others.keys() | stage.ways.others.keys()
    stage.tell.check(
        f"the {len(told)} records of it were read above; of what was canceled before it was sent"
        " there is none",
        told == stage.heard,
        f"{sorted(told ^ stage.heard)[:5]}",
    )


def _heard(stage: Stage, outcome: str) -> set[str]:
    """What haulers said of orders, and heard this final outcome of; not the mappings they sent."""
    return {
        command
        for book in stage.haulers.values()
        for command in book.of_outcome(outcome)
        if book.final[command].document["operation"] in _SAID
    }


def _differences(stage: Stage, order: DayOrder) -> list[str]:
    found = stage.deliveries.orders[order.destination, order.number].document
    return differences(order.wanted, received(found["order"]))


async def the_accounting(stage: Stage) -> None:
    """The hub's own books, beside what was counted on the topics."""
    tell = stage.tell
    tell.act("The accounting (`crossroads audit`)")
    books = await take(load_settings())
    told = report(books)
    columns = ("accepted", "done", "waiting", "refused", "failed")
    tell.table(
        ("operation", *columns),
        [
            (name, *(counts[column] for column in columns))
            for name, counts in told["operations"].items()
        ],
    )
    tell.check("the hub's books balance", not problems(books), "; ".join(problems(books)))
    creates = told["operations"]["order.create"]
    done, refused = (stage.answers.of_outcome(word) for word in ("done", "refused"))
    done = {c for c in done if c in stage.orders}
    tell.check(
        f"they agree with the topics: {len(done)} orders done, none waits",
        (creates["done"], creates["refused"], creates["waiting"])
        == (len(done), len(refused & _creates(stage)), 0),
        f"The topics have {len(done)} done and {len(refused)} refused",
    )
    said = {name: _outcomes(stage, name) for name in told["operations"] if name in _SAID}
    counted = {
        name: (told["operations"][name]["done"], told["operations"][name]["refused"])
        for name in said
    }
    waits = sum(told["operations"][name]["waiting"] for name in said)
    tell.check(
        f"of the haulers' commands {sum(done for done, _ in said.values())} are done, none waits",
        (counted, waits) == (said, 0) and len(said) == len(_SAID),
        f"The topics have {said}, the books {counted}, {waits} waiting",
    )
    _agrees_on_dealings(stage, told["operations"])
    tell.check(
        f"{told['dead_letters']} dead letters, {told['duplicates']} duplicates",
        (told["dead_letters"], told["duplicates"]) == (len(stage.broken), len(stage.day.repeats)),
    )
    stage.summary["audit"] = told


def _agrees_on_dealings(stage: Stage, books: Mapping[str, Mapping[str, int]]) -> None:
    """The audit has of each operation what was counted on the topics, and nothing that waits."""
    counted = Counter((op, outcome) for _, op, outcome in stage.dealt.values() if op in _DEALT)
    columns = ("done", "refused", "waiting", "failed")
    wrong = {
        name: {column: books.get(name, {}).get(column, 0) for column in columns}
        for name in _DEALT
        if any(books.get(name, {}).get(c, 0) != counted[name, c] for c in columns)
    }
    stage.tell.check(
        f"of changes, acceptances, receipts and cancels {counted.total()} are in the books, none"
        " waits",
        not wrong,
        f"{wrong} instead of {counted}",
    )


def _outcomes(stage: Stage, operation: str) -> tuple[int, int]:
    """How many commands of an operation the haulers' topics have as done, and as refused."""
    found = [
        seen.document["outcome"]
        for book in stage.haulers.values()
        for seen in book.final.values()
        if seen.document["operation"] == operation
    ]
    return found.count("done"), found.count("refused")


def _creates(stage: Stage) -> set[str]:
    return {
        command
        for command, seen in stage.answers.final.items()
        if seen.document["operation"] == "order.create"
    }


@tenacity.retry(
    retry=tenacity.retry_if_exception_type(httpx.TransportError),
    wait=tenacity.wait_fixed(0.2),
    stop=tenacity.stop_after_delay(_PATIENCE_SECONDS),
    reraise=True,
)
async def _page(client: httpx.AsyncClient, url: str) -> httpx.Response:
    """A page; a process that was killed a moment ago is still on its way back."""
    return await client.get(url)


async def addresses(stage: Stage, *, keep: bool) -> None:
    """Where to look, while it runs; every page must answer."""
    tell, line = stage.tell, stage.line
    tell.act("Look around")
    pages = [("HTTP, to try", f"{line['http']}/docs")]
    for name, urls in line["metrics"].items():
        if name not in ("relay", "gateway"):
            pages += [(name, f"{url.removesuffix('/metrics')}/asyncapi") for url in urls]
        pages += [(name, url) for url in urls]
    answers = [await _page(stage.upstream.client, url) for _, url in pages]
    wrong = [f"{a.url}: {a.status_code}" for a in answers if a.status_code != 200]
    places = [*pages, ("Kafka", line["kafka"])]
    if keep:
        places.append((f"key of {ORIGIN}", stage.key))
    tell.quote("\n".join(f"{name:15} {place}" for name, place in places))
    tell.check(f"all {len(pages)} pages answer", not wrong, "; ".join(wrong))
    if not keep:
        tell.say("All of this ends now. `crossroads up` starts it to stay; so does `demo --keep`.")
