"""Save a picture of a bill of lading (R060, K26, K33, X09)."""

import base64
import hashlib
from dataclasses import replace
from typing import Any

import pytest

from services.domain import pictures
from services.domain.operations import save_bol_image
from services.domain.world import Blob, OrderState
from tests.unit.domain import driver
from tests.unit.domain.driver import (
    IMAGE,
    PNG,
    bol,
    by_acme,
    command,
    errors,
    found,
    image,
    say,
    sent,
    take,
    told,
)
from tests.unit.domain.trade import ACME, BETA

BYTES = base64.b64decode(PNG)
STORED = Blob("8" * 24, BETA.id, "image/png", len(BYTES), hashlib.sha256(BYTES).hexdigest())
NAMED = image(content=..., blob_id=STORED.id)


def photos(order: OrderState) -> list[list[dict[str, Any]]]:
    documents = (order.origin_document, order.master_document, order.destination_document)
    return [document["bol_photos"] for document in documents if document is not None]


def test_x09_a_picture_that_comes_with_its_bytes_is_stored_listed_and_its_reference_sent() -> None:
    here = driver.world()
    effects = say(here, image(note="both pages"), IMAGE)
    assert told(effects) == ("done", 200, None)
    assert effects.picture is not None
    blob = effects.picture.blob
    assert (effects.picture.content, blob.tenant_id, blob.media_type) == (
        BYTES,
        BETA.id,
        "image/png",
    )
    assert (blob.size, blob.sha256) == (STORED.size, STORED.sha256)
    [photo] = photos(found(here))[0]
    assert photo == {
        "blob_id": blob.id,
        "bol_number": "B-1",
        "file_name": "b-1.png",
        "media_type": "image/png",
        "size": len(BYTES),
        "sha256": STORED.sha256,
        "note": "both pages",
        "uploaded_at": "2026-05-01T12:00:00Z",
    }
    assert photos(found(here)) == [[photo]] * 3
    [sync] = effects.syncs
    assert (sync.receiver, sync.type) == (ACME, "crossroads.order.bol-photo-saved.v1")
    assert sync.members == {"bol_photo": photo}
    assert effects.answer.body["bol_photo"] == photo


def test_x09_a_picture_that_was_stored_before_is_named_by_its_blob() -> None:
    here = driver.world()
    here.blobs[STORED.id] = STORED
    effects = say(here, NAMED, IMAGE)
    assert effects.picture is not None
    assert (effects.picture.blob, effects.picture.content) == (STORED, None)
    assert effects.answer.body["bol_photo"]["blob_id"] == STORED.id
    assert save_bol_image.needs(command(IMAGE, NAMED), here.directory).blobs == {STORED.id}
    assert save_bol_image.needs(command(IMAGE, image()), here.directory).blobs == set()


def test_g6_a_blob_of_another_tenant_is_as_one_that_does_not_exist() -> None:
    here = driver.world()
    missing = take(command(IMAGE, NAMED), here)
    assert errors(missing) == [(["body", "blob_id"], "unknown_blob")]
    here.blobs[STORED.id] = replace(STORED, tenant_id=ACME.id)
    assert take(command(IMAGE, NAMED), here) == missing


def test_a_picture_of_a_bill_that_is_not_there_is_taken_and_the_log_says_so() -> None:
    here = driver.world()
    effects = say(here, image(), IMAGE)
    assert effects.answer.outcome == "done"
    assert save_bol_image.NO_SUCH_BOL in effects.logs[0]["detail"]["message"]
    say(here, bol(), driver.BOL)
    later = say(here, image(file_name="2.png"), IMAGE, id="second")
    assert later.logs[0]["detail"]["message"] == "Sent to ACME Fuels."
    assert [each["file_name"] for each in photos(found(here))[1]] == ["b-1.png", "2.png"]


def test_k33_the_same_picture_again_is_done_and_nothing_new() -> None:
    here = driver.world()
    first = say(here, image(), IMAGE)
    here.blobs[STORED.id] = STORED
    for request in (image(), NAMED):
        effects = take(command(IMAGE, request, id="days-later"), here)
        assert told(effects) == ("done", 200, None)
        assert (effects.order, effects.syncs, effects.picture) == (None, [], None)
        assert effects.answer.body["bol_photo"] == first.answer.body["bol_photo"]


@pytest.mark.parametrize("change", [{"file_name": "x.png"}, {"note": "n"}, {"bol_number": "B-2"}])
def test_k33_another_member_is_another_picture(change: dict[str, str]) -> None:
    here = driver.world()
    say(here, image(), IMAGE)
    say(here, image(**change), IMAGE, id="second")
    assert [len(each) for each in photos(found(here))] == [2, 2, 2]


def text(content: bytes) -> str:
    return base64.b64encode(content).decode()


@pytest.mark.parametrize(
    ("changes", "loc", "kind"),
    [
        ({"content": ...}, ["blob_id"], "picture_required"),
        ({"content": None, "blob_id": None}, ["blob_id"], "picture_required"),
        ({"blob_id": STORED.id}, ["blob_id"], "picture_required"),
        ({"content": "not base64!"}, ["content"], "base64_invalid"),
        ({"content": "ä"}, ["content"], "base64_invalid"),
        ({"content": text(b"GIF89a")}, ["content"], "picture_type"),
        ({"content": text(b"<html>%PDF-")}, ["content"], "picture_type"),
        ({"file_name": ""}, ["file_name"], "string_too_short"),
        ({"bol_number": ...}, ["bol_number"], "missing"),
        ({"note": "x" * 301}, ["note"], "string_too_long"),
        ({"content": 5}, ["content"], "string_type"),
    ],
)
def test_what_is_no_picture_is_422(changes: Any, loc: Any, kind: str) -> None:
    here = driver.world()
    here.blobs[STORED.id] = STORED
    effects = take(command(IMAGE, image(**changes)), here)
    assert errors(effects) == [(["body", *loc], kind)]


@pytest.mark.parametrize(
    ("begins", "kind"),
    [
        (b"%PDF-1.7\n", "application/pdf"),
        (b"\xff\xd8\xff\xe0JFIF", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n", "image/png"),
    ],
)
def test_x09_a_picture_is_known_by_its_bytes(begins: bytes, kind: str) -> None:
    request = image(content=text(begins), file_name="anything.txt")
    effects = take(command(IMAGE, request), driver.world())
    assert effects.answer.body["bol_photo"]["media_type"] == kind


def test_base64_may_be_broken_into_lines() -> None:
    assert pictures.decoded(f"{PNG[:20]}\r\n {PNG[20:]}\n") == BYTES
    with pytest.raises(ValueError, match="neither"):
        pictures.blob("8" * 24, BETA.id, b"text")


def test_k26_a_picture_is_taken_after_complete_but_not_on_a_canceled_order() -> None:
    assert say(driver.world(sent(progress="complete")), image(), IMAGE).answer.outcome == "done"
    canceled = take(command(IMAGE, image()), driver.world(sent(delivery="canceled")))
    assert told(canceled) == ("refused", 422, "request.order_canceled")


def test_k42_a_picture_waits_in_the_lane_and_for_an_unknown_number_too() -> None:
    assert told(take(command(IMAGE, image()), driver.world(sent(waiting=1))))[2] == "lane.behind"
    unknown = take(command(IMAGE, image(order={"order_number": "no"})), driver.world())
    assert unknown.answer.code == "lane.order_unknown"
    assert unknown.picture is None


def test_the_origin_may_send_one_too() -> None:
    effects = say(driver.world(), image(), IMAGE, **by_acme())
    assert effects.syncs[0].receiver == BETA
    assert effects.picture is not None
    assert effects.picture.blob.tenant_id == ACME.id


@pytest.mark.parametrize("request_", [{}, [], "x", {"content": {}}, {"order": 4}])
def test_needs_and_decision_take_whatever_was_sent(request_: Any) -> None:
    here = driver.world()
    made = command(IMAGE, request_)
    save_bol_image.needs(made, here.directory)
    assert take(made, here).answer.code == "request.invalid"
