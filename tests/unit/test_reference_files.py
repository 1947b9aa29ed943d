"""Files of reference data taken apart into upserts (X10)."""

from pathlib import Path

import pytest

from services.cli.reference_files import (
    FileInvalid,
    Item,
    columns,
    parse_members,
    read_csv,
    read_file,
)
from services.domain import reference
from tests.unit.domain.desk import Desk

EXAMPLES = Path(__file__).parents[2] / "deploy" / "examples"


def written(folder: Path, text: str, name: str = "file.yaml") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def test_the_examples_are_applied_without_a_refusal_in_any_order() -> None:
    items = [
        *read_csv(EXAMPLES / "mappings.csv", "mappings"),
        *reversed(read_file(EXAMPLES / "reference.yaml")),
    ]
    desk = Desk()
    for at, item in enumerate(items):
        desk.take_body(item.operation, item.body, id=f"u{at}")
    assert {answer.outcome for answer in desk.answers.values()} == {"done"}
    assert len(desk.answers) == len(items) == 26


def test_items_come_list_by_list_with_their_places(tmp_path: Path) -> None:
    path = written(
        tmp_path, "mappings: [{tenant: a}]\ntenants: [{slug: x}, {slug: y}]\nrecords: null\n"
    )
    assert read_file(path) == [
        Item(reference.TENANT, {"slug": "x"}, "file.yaml tenants 0"),
        Item(reference.TENANT, {"slug": "y"}, "file.yaml tenants 1"),
        Item(reference.MAPPING, {"tenant": "a"}, "file.yaml mappings 0"),
    ]


def test_json_is_a_file_too_and_an_empty_one_has_no_items(tmp_path: Path) -> None:
    assert read_file(written(tmp_path, '{"tenants": [{"slug": "x"}]}'))[0].label == "x"
    assert read_file(written(tmp_path, "")) == []


def test_what_looks_like_a_date_stays_text(tmp_path: Path) -> None:
    item = read_file(written(tmp_path, "records: [{name: 2026-01-02}]"))[0]
    assert item.body == {"name": "2026-01-02"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tenant: []", "tenant"),
        ("tenants: {}", "tenants"),
        ("tenants: [1]", "tenants.0"),
        ("- 1", "the file"),
        ("tenants: [", "cannot be read"),
        ("tenants: [{1: 2}]", "cannot be read"),
        ("tenants: [{slug: !!binary aGk=}]", "cannot be read"),
    ],
)
def test_what_is_no_such_file_is_refused_whole(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(FileInvalid, match=said):
        read_file(written(tmp_path, text))


def test_rows_of_one_key_are_one_item_with_several_parts() -> None:
    one, two = read_csv(EXAMPLES / "mappings.csv", "mappings")
    assert (one.body["primary"], "tanks" in one.body) == (False, False)
    assert two.body == {
        "tenant": "harbor",
        "system": "FleetBoard",
        "entity": "site",
        "source_id": "5101",
        "source_name": "Lakeside Rd (old number)",
        "goid": "site_LAKE01",
        "tanks": [
            {"tank_id": "T1", "product_source_id": "110", "tank_goid": "tank_LAKE01A"},
            {"tank_id": "T2", "product_source_id": "120", "tank_goid": "tank_LAKE01B"},
        ],
    }


def test_tenants_have_their_systems_and_instances_in_rows(tmp_path: Path) -> None:
    text = (
        "slug,name,partitions,active,system,system_primary,instance\n"
        "acme,Acme Fuels,6,true,erp,true,east\n"
        "acme,,,,erp,,west\n"
        "acme,,,,old,,\n"
        "bolt,Bolt,,,,,\n"
    )
    acme, bolt = read_csv(written(tmp_path, text), "tenants")
    assert acme.body == {
        "slug": "acme",
        "name": "Acme Fuels",
        "partitions": 6,
        "active": True,
        "systems": [
            {"name": "erp", "primary": True, "instances": ["east", "west"]},
            {"name": "old"},
        ],
    }
    assert bolt.body == {"slug": "bolt", "name": "Bolt", "systems": []}


def test_records_have_tanks_with_numbers_and_components_with_ratios(tmp_path: Path) -> None:
    text = (
        "goid,entity,name,tank_goid,tank_number,tank_product,component_product,component_ratio\n"
        "site_STATION,site,S,tank_ONE111,1,product_DIESEL,,\n"
        "product_BLEND7,product,B,,,,product_DIESEL,0.93\n"
    )
    site, blend = read_csv(written(tmp_path, text), "records")
    assert site.body["tanks"] == [{"goid": "tank_ONE111", "number": 1, "product": "product_DIESEL"}]
    assert blend.body["components"] == [{"product": "product_DIESEL", "ratio": 0.93}]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("goid,colour\n", "unknown columns colour"),
        ("goid,active\nsite_A,maybe\n", "line 2: active"),
        ("goid,tank_number\nsite_A,one\n", "line 2: tank_number"),
        ("goid,name\nsite_A,x\nsite_A,y\n", "line 3: name differs"),
        ("goid\nsite_A,x\n", "line 2: more cells"),
    ],
)
def test_a_wrong_cell_is_named_by_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(FileInvalid, match=said):
        read_csv(written(tmp_path, text), "records")


def test_every_member_of_an_upsert_has_a_column() -> None:
    assert "instance" in columns("tenants")
    assert columns("pairs")[:2] == ("origin", "destination")


def test_members_on_the_command_line_are_yaml() -> None:
    assert parse_members(["slug=acme", "active=false", "systems=[{name: erp}]", "name=a=b"]) == {
        "slug": "acme",
        "active": False,
        "systems": [{"name": "erp"}],
        "name": "a=b",
    }
    with pytest.raises(FileInvalid):
        parse_members(["slug"])
