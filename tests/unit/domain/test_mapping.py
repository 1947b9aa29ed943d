"""Mapping keys: precedence, ambiguity, goids, echoes (R031-R039, K03)."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain import mapping
from services.domain.effects import Gap
from services.domain.mapping import Found, Lost, Side
from services.domain.tokens import (
    mapped_goid_token,
    record_token,
    source_id_token,
    source_name_token,
    tokens_of_mapping,
)
from services.domain.world import MasterData
from tests.unit.domain import trade
from tests.unit.domain.trade import ACME, ACME_SIDE, BETA_SIDE, DIESEL, ERP, REGULAR, TMS

ONE = trade.mapping(ACME, "ERP", "product", "p1", "product_REGULAR", name="Super", age=1)
TWO = trade.mapping(ACME, "ERP", "product", "p2", "product_DIESEL", name="Heizöl", age=2)
TWIN = trade.mapping(ACME, "ERP", "product", "p3", "product_REGULAR", name="Super", age=3)


def found(key: dict[str, Any], *mappings: Any) -> Found | Lost:
    data = MasterData([REGULAR, DIESEL], mappings or (ONE, TWO))
    return mapping.resolve(data, ACME_SIDE, "product", key)


def lost(key: dict[str, Any], *mappings: Any) -> Lost:
    result = found(key, *mappings)
    assert isinstance(result, Lost)
    return result


@pytest.mark.parametrize(
    "key", [{"source_id": "p1"}, {"source_name": "Super"}, {"mapping_id": ONE.id}]
)
def test_r032_r033_r034_any_single_field_leads_to_the_record(key: dict[str, Any]) -> None:
    assert found(key) == Found(REGULAR, ONE)


def test_k03_a_goid_needs_no_mapping_and_shows_the_callers_own_where_there_is_one() -> None:
    assert found({"goid": "product_REGULAR"}, TWO) == Found(REGULAR, None)
    assert found({"goid": "product_REGULAR"}, TWIN, ONE) == Found(REGULAR, ONE)
    primary = replace(TWIN, primary=True)
    assert found({"goid": "product_REGULAR"}, primary, ONE) == Found(REGULAR, primary)


def test_k03_an_unknown_goid_is_a_gap_that_waits_for_the_record() -> None:
    gap = lost({"goid": "product_NOWHERE"}).gap
    assert (gap.entity, gap.kind, gap.key) == ("product", "goid", "product_NOWHERE")
    assert gap.wake_on == (record_token("product_NOWHERE"),)


def test_k03_a_name_that_leads_nowhere_beside_a_source_id_is_free_text() -> None:
    assert found({"source_id": "p1", "source_name": "whatever"}) == Found(REGULAR, ONE)


def test_k03_a_source_id_that_leads_nowhere_is_a_gap_even_if_the_name_would_fit() -> None:
    gap = lost({"source_id": "p9", "source_name": "Super"}).gap
    assert (gap.kind, gap.key, gap.candidates) == ("source_id", "p9", ("p1",))
    assert gap.wake_on == (source_id_token(ERP, "product", "p9"),)


def test_k03_two_fields_of_different_records_are_ambiguous_and_name_the_candidates() -> None:
    gap = lost({"source_id": "p1", "source_name": "Heizöl"}).gap
    assert gap.kind == "ambiguous"
    assert gap.candidates == ("p1", "p2")
    assert set(gap.wake_on) == {
        source_id_token(ERP, "product", "p1"),
        source_id_token(ERP, "product", "p2"),
        source_name_token(ERP, "product", "Heizöl"),
    }
    assert lost({"mapping_id": ONE.id, "source_id": "p2"}).gap.kind == "ambiguous"


def test_k03_a_name_of_two_records_is_a_gap_on_the_name() -> None:
    other = replace(TWO, source_name="Super")
    gap = lost({"source_name": "Super"}, ONE, other).gap
    assert (gap.kind, gap.key, gap.candidates) == ("source_name", "Super", ("p1", "p2"))
    assert source_name_token(ERP, "product", "Super") in gap.wake_on


def test_k03_a_name_of_two_mappings_of_one_record_is_not_ambiguous() -> None:
    assert found({"source_name": "Super"}, TWIN, ONE) == Found(REGULAR, ONE)


def test_k03_a_shared_name_beside_one_of_its_source_ids_confirms_it() -> None:
    other = replace(TWO, source_name="Super")
    assert found({"source_id": "p2", "source_name": "Super"}, ONE, other) == Found(DIESEL, other)


def test_a_mapping_to_an_absent_or_inactive_record_counts_as_missing() -> None:
    nowhere = replace(ONE, goid="product_NOWHERE")
    result = lost({"source_id": "p1"}, nowhere)
    assert result.mapping == nowhere
    assert set(result.gap.wake_on) == {
        record_token("product_NOWHERE"),
        source_id_token(ERP, "product", "p1"),
    }
    data = MasterData([replace(REGULAR, active=False)], [ONE])
    assert isinstance(mapping.resolve(data, ACME_SIDE, "product", {"source_id": "p1"}), Lost)


def test_a_source_id_has_its_meaning_in_its_own_system_alone() -> None:
    old = Side.of(ACME, "Old ERP")
    data = MasterData([REGULAR], [ONE])
    assert isinstance(mapping.resolve(data, old, "product", {"source_id": "p1"}), Lost)


def test_the_other_side_calls_a_record_by_its_primary_mapping_else_its_oldest() -> None:
    first, second = trade.DESTINATION_WORDS[0], replace(trade.DESTINATION_WORDS[0], id="f" * 24)
    second = replace(second, source_id="d-reg2", age=9)
    data = MasterData([REGULAR], [second, first])
    assert mapping.called(data, BETA_SIDE, REGULAR, ONE) == first
    data.put_mapping(replace(second, primary=True))
    assert mapping.called(data, BETA_SIDE, REGULAR, ONE) == replace(second, primary=True)


def test_a_record_the_other_side_has_no_word_for_wakes_on_either_sides_mapping() -> None:
    gap = mapping.called(MasterData([REGULAR]), BETA_SIDE, REGULAR, ONE)
    assert isinstance(gap, Gap)
    assert gap.tenant_id == trade.BETA.id
    assert set(gap.wake_on) == {
        mapped_goid_token(TMS, "product_REGULAR"),
        source_id_token(ERP, "product", "p1"),
    }
    assert "Regular" in gap.message
    assert "Beta Haulage" in gap.message


def test_a_side_without_a_system_waits_for_its_tenant_as_well() -> None:
    bare = Side.of(replace(ACME, systems=()), None)
    result = mapping.resolve(MasterData(), bare, "product", {"source_id": "p1"})
    assert isinstance(result, Lost)
    assert "tenant|acme" in result.gap.wake_on


def test_r039_an_echo_has_five_members_null_where_nothing_is_known() -> None:
    assert mapping.echo(ONE, REGULAR) == {
        "mapping_id": ONE.id,
        "source_name": "Super",
        "source_id": "p1",
        "goid": "product_REGULAR",
        "goid_name": "Regular",
    }
    master_only = mapping.echo(None, REGULAR)
    assert master_only["mapping_id"] is None
    assert master_only["goid_name"] == "Regular"
    assert mapping.given({"source_id": "x"}) == dict.fromkeys(mapping.echo(ONE, REGULAR)) | {
        "source_id": "x"
    }


ids = st.sampled_from(["p1", "p2", "p3", "p4"])
names = st.sampled_from(["n1", "n2", "n3"])
goids = st.sampled_from(["product_REGULAR", "product_DIESEL"])


@st.composite
def mappings(draw: st.DrawFn) -> list[Any]:
    chosen = draw(st.lists(ids, unique=True))
    return [
        trade.mapping(
            ACME,
            "ERP",
            "product",
            source_id,
            draw(goids),
            name=draw(names),
            age=age,
            primary=draw(st.booleans()),
        )
        for age, source_id in enumerate(chosen)
    ]


@given(mappings(), st.none() | ids, st.none() | names)
def test_k03_a_resolved_key_contradicts_none_of_its_fields(
    known: list[Any], source_id: str | None, name: str | None
) -> None:
    key = {"source_id": source_id, "source_name": name}
    if source_id is None and name is None:
        return
    data = MasterData([REGULAR, DIESEL], known)
    result = mapping.resolve(data, ACME_SIDE, "product", key)
    by_id = [each for each in known if each.source_id == source_id]
    by_name = [each for each in known if each.source_name == name]
    if isinstance(result, Found):
        if source_id is not None:
            assert result.mapping in by_id
        else:
            assert {each.goid for each in by_name} == {result.record.goid}
        if by_name:
            assert result.record.goid in {each.goid for each in by_name}
    else:
        meant = {each.goid for each in (*by_id, *by_name)}
        assert (source_id is not None and not by_id) or len(meant) != 1


@given(mappings(), ids, names, st.none() | ids)
def test_x05_a_lost_key_is_woken_by_every_mapping_that_would_resolve_it(
    known: list[Any], new_id: str, new_name: str, source_id: str | None
) -> None:
    key = {"source_id": source_id, "source_name": new_name}
    data = MasterData([REGULAR, DIESEL], known)
    before = mapping.resolve(data, ACME_SIDE, "product", key)
    if isinstance(before, Found):
        return
    old = data.by_source_id(ERP, "product", new_id)
    upserted = trade.mapping(ACME, "ERP", "product", new_id, "product_REGULAR", name=new_name)
    data.put_mapping(upserted)
    if isinstance(mapping.resolve(data, ACME_SIDE, "product", key), Found):
        woken = {*tokens_of_mapping(upserted), *(tokens_of_mapping(old) if old else ())}
        assert woken & set(before.gap.wake_on)
