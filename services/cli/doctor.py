"""`crossroads doctor`: what is wrong here, and the decisions that only an operator may take."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.errors import CommandFailed, CommandMisused
from services.cli.output import Json, print_json, print_table, say

if TYPE_CHECKING:
    from services.cli.doctor_batches import Record
    from services.kit.settings import Settings

app = typer.Typer(help="What is wrong here, and what to do about it.")


@app.callback(invoke_without_command=True)
def doctor(context: typer.Context, as_json: Json = False) -> None:
    """Look at schema, topics, positions, faults, lanes, books, growth, parked records and disk.

    1 when anything is a problem; each one says what to do. A notice is no problem.
    """
    if context.invoked_subcommand is not None:
        return
    from services.cli.examination import PROBLEM, examine  # noqa: PLC0415
    from services.kit.settings import load_settings  # noqa: PLC0415

    data = context.find_root().obj
    found = asyncio.run(examine(load_settings(), data))
    healthy = all(each.state != PROBLEM for each in found)
    members = ("check", "state", "detail", "remedy")
    if as_json:
        items = [{member: getattr(each, member) for member in members} for each in found]
        print_json({"healthy": healthy, "findings": items})
    else:
        print_table(members, [tuple(getattr(each, member) for member in members) for each in found])
    if not healthy:
        raise typer.Exit(1)


@app.command("accept-loss")
def accept_loss(
    topic: Annotated[str, typer.Argument()],
    partition: Annotated[int, typer.Argument(min=0)],
    *,
    reason: Annotated[str, typer.Option(help="Why the records may be given up; it is kept.")],
    group: Annotated[
        str | None, typer.Option(help="The consumer group, where several read the partition.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Go on reading at the log's start: what retention removed before it was read is given up.

    Until then the partition is not read. The decision and its reason are written into the log.
    """
    from services.kit.settings import load_settings  # noqa: PLC0415

    if not reason.strip():
        raise CommandMisused("--reason must say why")
    moved = asyncio.run(_accept_loss(load_settings(), topic, partition, group, reason.strip()))
    if as_json:
        print_json(moved)
    else:
        say(
            f"{moved['group']} goes on at {moved['to']} of {topic}/{partition}; "
            f"{moved['lost']} records are given up"
        )


async def _accept_loss(
    settings: "Settings", topic: str, partition: int, group: str | None, reason: str
) -> dict[str, Any]:
    from aiokafka import TopicPartition  # noqa: PLC0415

    from services.cli.logs_of_topics import input_logs, marks  # noqa: PLC0415
    from services.cli.session import database  # noqa: PLC0415
    from services.kit import positions  # noqa: PLC0415

    logs = await input_logs(settings)
    where = TopicPartition(topic, partition)
    ends = logs.ends.get(where)
    if ends is None:
        raise CommandFailed(f"The broker has no input partition {topic}/{partition}.")
    async with database(settings, write=True) as connection:
        there = [
            mark
            for mark in await marks(connection)
            if mark.cluster_id == logs.cluster_id
            and mark.partition == where
            and group in (None, mark.group)
        ]
        if len(there) > 1:
            groups = ", ".join(mark.group for mark in there)
            raise CommandFailed(f"Several groups read {topic}/{partition}: --group {groups}")
        if not there:
            raise CommandFailed(f"No group with this name has read {topic}/{partition}.")
        [mark] = there
        moved = await positions.accept_loss(
            connection, logs.cluster_id, mark.group, topic, partition, log_start=ends.start
        )
        if not moved:
            raise CommandFailed(
                f"Nothing is lost: {mark.group} stands at {mark.next_offset}, and the log begins "
                f"at {ends.start}."
            )
        told = {
            "group": mark.group,
            "topic": topic,
            "partition": partition,
            "from": mark.next_offset,
            "to": ends.start,
            "lost": ends.start - mark.next_offset,
            "reason": reason,
        }
        place = f"{topic}/{partition}"
        await _write_down(
            connection,
            "Loss accepted",
            f"{told['lost']} records of {place} were removed before they were read; "
            f"{told['group']} goes on at {told['to']}. {told['reason']}",
            told,
            f"accept-loss/{place}/{told['from']}",
        )
        return told


@app.command("settle-batch")
def settle_batch(
    shard: Annotated[int, typer.Argument(min=0)],
    *,
    published: Annotated[
        bool | None,
        typer.Option(
            "--published/--not-published", help="What you found; without it the records are shown."
        ),
    ] = None,
    reason: Annotated[str, typer.Option(help="How you know; it is kept.")] = "",
    as_json: Json = False,
) -> None:
    """Say of a batch that a relay ended over whether its records are on their topics.

    Only where delivery is exactly once, and only what no relay can find out: while one owns the
    shard it settles its batches itself. The word and its reason are written into the log.
    """
    from services.cli.doctor_batches import members  # noqa: PLC0415
    from services.kit.settings import load_settings  # noqa: PLC0415

    if published is not None and not reason.strip():
        raise CommandMisused("--reason must say how you know")
    records = asyncio.run(_settle_batch(load_settings(), shard, published, reason.strip()))
    if as_json:
        print_json({"shard": shard, "published": published, "records": members(records)})
    elif published is None:
        print_table(("topic", "ce_id", "key"), [tuple(each.values()) for each in members(records)])
        say("Are they on their topics? Say --published or --not-published.")
    else:
        say(f"{len(records)} records {'are not sent again' if published else 'will be sent'}")


async def _settle_batch(
    settings: "Settings", shard: int, published: bool | None, reason: str
) -> "list[Record]":
    from services.cli.doctor_batches import records_of, settle  # noqa: PLC0415
    from services.cli.session import database  # noqa: PLC0415

    async with database(settings, write=published is not None) as connection:
        records = await records_of(connection, shard)
        if published is None:
            return records
        number = await settle(connection, shard, published=published)
        word = "published" if published else "not published"
        await _write_down(
            connection,
            "Batch settled",
            f"Batch {number} of shard {shard}, {len(records)} records, was {word}. {reason}",
            {"shard": shard, "number": number, "published": published, "reason": reason},
            f"settle-batch/{shard}/{number}",
        )
        return records


async def _write_down(
    connection: Any, title: str, message: str, metadata: dict[str, Any], command_id: str
) -> None:
    """A log entry of the operators: who may ask later finds what was decided and why."""
    import getpass  # noqa: PLC0415
    import uuid  # noqa: PLC0415
    from datetime import UTC, datetime  # noqa: PLC0415

    from services.domain.tenants import OPERATOR  # noqa: PLC0415
    from services.records import history  # noqa: PLC0415
    from services.records.texts import Texts  # noqa: PLC0415

    entry = {
        "_id": uuid.uuid4().hex[:24],
        "title": title,
        "date": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        "status": "success",
        "severity": "high",
        "detail": {
            "category": "crossroads",
            "message": message,
            "message_short": title,
            "traceback": None,
            "error": None,
        },
        "metadata": {**metadata, "by": getpass.getuser()},
        "worker_name": "crossroads doctor",
    }
    await history.write_logs(connection, [(OPERATOR, None, command_id, entry)], Texts())
