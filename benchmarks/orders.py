"""What is sent: orders, statuses and papers, as records."""

from collections.abc import Iterable

from benchmarks.topics import Message
from tests.acceptance.wire import command_headers
from tests.acceptance.words import Companies, Order, Step


def drawn(companies: Companies, count: int) -> list[Order]:
    """So many orders that nobody has sent before."""
    return [companies.order() for _ in range(count)]


def creates(companies: Companies, orders: Iterable[Order]) -> list[Message]:
    """Their create commands."""
    partner = companies.destination
    return [
        Message(
            order.number.encode(),
            order.body,
            command_headers(order.command_id, "order.create", partner=partner),
        )
        for order in orders
    ]


def messages(companies: Companies, count: int) -> list[Message]:
    """So many create commands that nobody has sent before."""
    return creates(companies, drawn(companies, count))


def statuses(companies: Companies, orders: Iterable[Order], each: int) -> list[Message]:
    """So many statuses of each order, none of them its end; in turn, as drivers speak."""
    said = [
        [_said(companies, order, step) for step in companies.steps(order, statuses=each + 1)[:each]]
        for order in orders
    ]
    return [message for turn in zip(*said, strict=True) for message in turn]


def ways(companies: Companies, orders: Iterable[Order], count: int) -> list[Message]:
    """The whole way of each: so many statuses to its end, a bill, an executed drop; in turn."""
    said = [
        [_said(companies, order, step) for step in companies.steps(order, statuses=count)]
        for order in orders
    ]
    return [message for turn in zip(*said, strict=True) for message in turn]


def _said(companies: Companies, order: Order, step: Step) -> Message:
    headers = command_headers(step.command_id, step.operation, partner=companies.origin)
    return Message(order.number.encode(), step.body, headers)
