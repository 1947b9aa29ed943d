"""What an event keeps of its records, and what a tenant may see of a timeline."""

from datetime import UTC, datetime

from services.domain.effects import Event, Sync
from services.domain.tenants import Tenant
from services.records.timeline import Line, seen_by, with_records

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
HAUL = Tenant("t-haul", "haul", "Haul")
SYNC = Sync(HAUL, "crossroads.order.created.v1", {"order": {}}, {})


def test_the_last_event_of_a_command_knows_its_records_and_the_wait_before_it() -> None:
    events = [Event("one", {}), Event("two", {"late": True})]
    first, last = with_records(events, [(SYNC, 3, 77)], waited=True)
    assert first == Event("one", {})
    assert last.kind == "two"
    assert last.detail == {
        "late": True,
        "waited": True,
        "records": [
            {"type": "crossroads.order.created.v1", "to": "haul", "sequence": 3, "row": 77}
        ],
    }
    assert events[1].detail == {"late": True}, "a decision is never changed"


def test_records_without_an_event_make_one_and_nothing_makes_nothing() -> None:
    [told] = with_records([], [(SYNC, 1, 5)], waited=False)
    assert (told.kind, len(told.detail["records"])) == ("told", 1)
    assert list(with_records([], [], waited=True)) == []
    events = [Event("one", {})]
    assert with_records(events, [], waited=False) is events


def test_of_the_other_side_only_what_was_sent_to_the_reader_is_seen() -> None:
    """Guarantee 6: by no line does a tenant learn of a command, a gap or a log of the other."""
    own = [Line(NOON, kind, "t-haul", "c") for kind in ("asked", "log", "gap", "waits", "status")]
    to_them = Line(NOON, "record", "t-haul", "c", {"sequence": 1}, to="acme")
    to_me = Line(NOON, "record", "t-acme", "secret", {"sequence": 2}, to="haul")
    theirs = [Line(NOON, kind, "t-acme", "secret") for kind in ("asked", "log", "gap", "sent")]
    to_themselves = Line(NOON, "record", "t-acme", "secret", {}, to="acme")
    nobodys = Line(NOON, "failed", None, None)
    lines = [*own, to_them, to_me, *theirs, to_themselves, nobodys]
    seen = seen_by(lines, ["t-haul"], ["haul"])
    assert seen[:-1] == [*own, to_them]
    assert (seen[-1].detail, seen[-1].command_id) == ({"sequence": 2}, None)
    assert seen_by(lines, ["t-eve"], ["eve"]) == []
    both = seen_by(lines, ["t-haul", "t-acme"], ["haul", "acme"])
    assert both == lines[:-1]
