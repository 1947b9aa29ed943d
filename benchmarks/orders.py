"""The orders that are sent, as records and as HTTP requests."""

from benchmarks.topics import Message
from tests.acceptance.wire import command_headers
from tests.acceptance.words import Companies


def messages(companies: Companies, count: int) -> list[Message]:
    """So many create commands that nobody has sent before."""
    orders = [companies.order() for _ in range(count)]
    partner = companies.destination
    return [
        Message(
            order.number.encode(),
            order.body,
            command_headers(order.command_id, "order.create", partner=partner),
        )
        for order in orders
    ]
