"""Whatever is sent of the driver's side: a decision of the right shape, never a fault."""

import copy
from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.domain.operations.table import TABLE
from tests.unit.domain import driver, trade
from tests.unit.domain.driver import (
    BOL,
    DROP,
    IMAGE,
    STATUS,
    bol,
    command,
    executed,
    image,
    line,
    measured,
    sent,
    status,
    take,
)
from tests.unit.domain.test_save_bol import two_sites

ODD: list[Any] = [
    None,
    True,
    -1,
    0.00005,
    "",
    "x" * 301,
    "complete",
    "dropping",
    "d-main",
    "2026-03-08T02:30:00",
    "site_MAIN01",
    "f" * 24,
    [],
    {},
    [None],
    {"source_id": "d-main"},
    {"source_name": "d-north name"},
    {"goid": "site_MAIN01", "tank_goid": "tank_MAIN0B"},
    {"goid": "terminal_NORTH1"},
    {"tank_id": "2"},
    {"product_source_id": "d-dsl"},
    {"order_id": "f" * 24},
    {"mapping_id": "f" * 24, "source_id": "d-reg"},
]
FULL: dict[str, dict[str, Any]] = {
    STATUS: status(
        "dropping",
        site={"source_id": "d-main"},
        eta="2026-05-01T15:00:00",
        actual="2026-05-01T15:00:00Z",
        assigned_to="Dana",
        hauled_by="X",
    ),
    BOL: bol(
        line(site={"source_id": "d-main", "tank_id": "1"}), line(contract="C", price_type="rack")
    ),
    DROP: executed(
        measured(tank={"tank_id": "1"}, pre_drop_volume=1, pre_drop_time="2026-05-01T15:00:00"),
        mode="append",
    ),
    IMAGE: image(note="n", blob_id="8" * 24),
}
WINDOW = trade.window(timezone="America/Chicago")
LOCAL = trade.order_of(trade.decide(trade.body(driver.LOADED, delivery_window=WINDOW)))


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    members: Any = ()
    if isinstance(value, dict):
        members = value.items()
    elif isinstance(value, list):
        members = enumerate(value)
    for part, member in members:
        yield from places(member, (*path, part))


def bent(data: st.DataObject, request: Any) -> None:
    """One member becomes something odd, or goes."""
    paths = list(places(request))
    if not paths:
        return
    *parents, last = data.draw(st.sampled_from(paths))
    here = request
    for part in parents:
        here = here[part]
    if data.draw(st.booleans()):
        here[last] = copy.deepcopy(data.draw(st.sampled_from(ODD)))
    else:
        del here[last]


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_whatever_is_sent_becomes_a_decision_of_the_right_shape(data: st.DataObject) -> None:
    operation = data.draw(st.sampled_from(sorted(FULL)))
    request = copy.deepcopy(FULL[operation])
    for _ in range(data.draw(st.integers(1, 3))):
        bent(data, request)
    orders = [driver.world(), driver.world(LOCAL), two_sites(), driver.world(sent(waiting=1))]
    here = data.draw(st.sampled_from(orders))
    made = command(operation, request, strict=data.draw(st.booleans()))
    effects = take(made, here)
    if effects.answer.code == "request.invalid":
        assert effects.answer.body["detail"]
        assert all(each["loc"][0] in ("body", "header") for each in effects.answer.body["detail"])
    if effects.answer.outcome == "done" and effects.order is not None:
        here.put_order(effects.order)
        again = take(made, here)
        if operation != STATUS or request["progress_status"] == "complete":
            assert (again.answer.outcome, again.order) == ("done", None), "a repeat is harmless"
    assert not TABLE[operation].problems(made) or effects.answer.code == "request.invalid"
