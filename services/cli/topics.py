"""`crossroads topics`: the topics as code. What is there is never changed, only told."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from services.cli.errors import CommandFailed
from services.cli.output import Json, print_json, print_table, say

if TYPE_CHECKING:
    from services.kit.kafka import TopicDifference, TopicSpec
    from services.kit.settings import Settings

app = typer.Typer(no_args_is_help=True, help="The topics, as the catalogue wants them.")


@app.command("apply")
def apply(as_json: Json = False) -> None:
    """Create the topics that are missing: the hub's own and every tenant's six.

    A topic that is there stays as it is: a partition count is never changed, for the order of keys
    depends on it. 1 when a topic cannot be created.
    """
    from services.kit.settings import load_settings  # noqa: PLC0415

    outcome = asyncio.run(_apply(load_settings()))
    created = sorted(name for name, refusal in outcome.items() if refusal is None)
    refused = {name: refusal for name, refusal in sorted(outcome.items()) if refusal is not None}
    if as_json:
        print_json({"created": created, "refused": refused})
    else:
        for name in created:
            print(name)
        say(f"{len(created)} created" if created else "no topic was missing")
    if refused:
        raise CommandFailed(
            "not created: " + ", ".join(f"{name} ({why})" for name, why in refused.items())
        )


@app.command("diff")
def diff(as_json: Json = False) -> None:
    """Show where topics are not as the catalogue wants them; 1 when any is not."""
    from services.kit.settings import load_settings  # noqa: PLC0415

    found = asyncio.run(differences(load_settings()))
    if as_json:
        print_json({"differences": [_members(each) for each in found]})
    elif found:
        print_table(
            ("topic", "setting", "wanted", "found"),
            [(each.topic, each.setting, each.wanted, each.found or "missing") for each in found],
        )
    else:
        say("every topic is as it should be")
    if found:
        raise typer.Exit(1)


async def wanted(settings: "Settings") -> "list[TopicSpec]":
    """All topics there should be, with the tenants of the database."""
    from services.cli.session import database  # noqa: PLC0415
    from services.records.master_data import partitions_of_tenants  # noqa: PLC0415
    from services.reference_data.topics import wanted as wanted_topics  # noqa: PLC0415

    async with database(settings) as connection:
        return wanted_topics(await partitions_of_tenants(connection))


async def differences(settings: "Settings") -> "Sequence[TopicDifference]":
    """Where the broker's topics differ from what there should be."""
    from services.kit.kafka import TopicAdmin  # noqa: PLC0415

    specs = await wanted(settings)
    async with TopicAdmin(settings) as admin:
        return await admin.differences(specs)


async def _apply(settings: "Settings") -> dict[str, str | None]:
    from services.kit.kafka import TopicAdmin  # noqa: PLC0415

    specs = await wanted(settings)
    async with TopicAdmin(settings) as admin:
        return await admin.create_missing(specs)


def _members(each: "TopicDifference") -> dict[str, str | None]:
    return {
        "topic": each.topic,
        "setting": each.setting,
        "wanted": each.wanted,
        "found": each.found,
    }
