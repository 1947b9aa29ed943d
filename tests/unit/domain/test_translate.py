"""Every upsert that could close a gap wakes somebody who waits on it (K02, X05, protocol 3)."""

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.domain.effects import Gap
from services.domain.tokens import tokens_of_mapping, tokens_of_record
from services.domain.translate import translate
from services.domain.world import MappedTank, Mapping, MasterData, MasterRecord
from tests.unit.domain.trade import (
    ACME_SIDE,
    BETA_SIDE,
    DESTINATION_WORDS,
    ORIGIN_WORDS,
    RECORDS,
    SITE,
    body,
    command,
)

DROPS = st.fixed_dictionaries(
    {
        "site": st.sampled_from(
            [
                {"source_id": "o-main", "tank_id": "1"},
                {"source_id": "o-main", "product_source_id": "o-reg"},
                {"source_id": "o-main"},
                {"source_name": "o-main name", "tank_id": "2"},
                {"goid": "site_MAIN01", "tank_goid": "tank_MAIN0A"},
                {"goid": "site_MAIN01"},
            ]
        ),
        "product": st.sampled_from([{"source_id": "o-reg"}, {"goid": "product_DIESEL"}]),
        "volume": st.just(1),
    }
)
WORDS = [*ORIGIN_WORDS, *DESTINATION_WORDS]


def damaged(mapping: Mapping) -> list[Mapping]:
    """Ways a mapping may be wrong before its owner puts it right."""
    wrong = [replace(mapping, goid="terminal_OTHER1"), replace(mapping, source_name="elsewhere")]
    if mapping.entity == "product":
        wrong.append(replace(mapping, goid="product_DIESEL"))
    if mapping.tanks:
        wrong.append(replace(mapping, tanks=()))
        wrong.append(replace(mapping, tanks=(MappedTank("9", None, "tank_MAIN0A"),)))
        wrong.append(replace(mapping, tanks=(MappedTank("9", None, "tank_MAIN0B"),)))
    return wrong


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[MasterRecord], list[Mapping], list[Any]]:
    """Master data with parts absent or wrong, and the upserts that put all of it right."""
    repairs: list[Any] = []
    records, mappings = [], []
    for record in RECORDS:
        fate = draw(st.sampled_from(["right", "right", "absent", "inactive", "bare"]))
        if fate == "right":
            records.append(record)
            continue
        repairs.append(record)
        if fate == "inactive":
            records.append(replace(record, active=False))
        elif fate == "bare":
            records.append(replace(record, tanks=()))
    for mapping in WORDS:
        fate = draw(st.sampled_from(["right", "right", "absent", "wrong"]))
        if fate == "right":
            mappings.append(mapping)
            continue
        repairs.append(mapping)
        if fate == "wrong":
            mappings.append(draw(st.sampled_from(damaged(mapping))))
    return records, mappings, draw(st.permutations(repairs))


def missing(data: MasterData, request: dict[str, Any]) -> list[Gap]:
    return translate(data, ACME_SIDE, BETA_SIDE, command(request).body).gaps


@settings(max_examples=300)
@given(histories(), st.lists(DROPS, min_size=1, max_size=3))
def test_an_order_woken_only_by_its_gaps_tokens_is_mapped_when_everything_is_there(
    history: tuple[list[MasterRecord], list[Mapping], list[Any]], drops: list[dict[str, Any]]
) -> None:
    records, mappings, repairs = history
    data = MasterData(records, mappings)
    request = body(*drops)
    waiting = missing(data, request)
    for repair in repairs:
        if isinstance(repair, MasterRecord):
            data.put_record(repair)
            woken = set(tokens_of_record(repair))
        else:
            old = data.by_source_id(
                ACME_SIDE.scope if repair in ORIGIN_WORDS else BETA_SIDE.scope,
                repair.entity,
                repair.source_id,
            )
            data.put_mapping(repair)
            woken = {*tokens_of_mapping(repair), *(tokens_of_mapping(old) if old else ())}
        if any(woken & set(gap.wake_on) for gap in waiting):
            waiting = missing(data, request)
        if not missing(data, request):
            assert waiting == [], "it slept through the upsert that helped it"
    assert missing(data, request) == []


@settings(max_examples=200)
@given(histories(), st.lists(DROPS, min_size=1, max_size=3))
def test_what_is_missing_says_how_far_the_documents_go(
    history: tuple[list[MasterRecord], list[Mapping], list[Any]], drops: list[dict[str, Any]]
) -> None:
    records, mappings, _ = history
    done = translate(
        MasterData(records, mappings), ACME_SIDE, BETA_SIDE, command(body(*drops)).body
    )
    assert (done.master is None) == bool(done.origin_gaps)
    assert (done.destination is None) == bool(done.gaps)
    for gap in done.gaps:
        assert gap.wake_on
    if done.destination is not None:
        for drop in done.destination["drops"]:
            assert drop["site"]["source_id"] == "d-main"
            assert drop["site"]["tank_goid"] in {tank.goid for tank in SITE.tanks}
