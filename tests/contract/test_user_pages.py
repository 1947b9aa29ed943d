"""The pages for the hub's users: their links lead somewhere, what they name is there."""

import re
from pathlib import Path

import pytest

from schemas.documents import DOCUMENTS
from schemas.operations import OPERATIONS
from schemas.operations import PREFIX as PREFIX_OF_TYPES
from services.kit.metrics import PREFIX, catalogue

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", *DOCS.glob("*.md")])
USERS = ("integrators-upstream.md", "integrators-destination.md", "sre.md")
SUFFIXES = ("_bucket", "_count", "_sum")
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)")


def anchors(page: Path) -> set[str]:
    """How a heading is linked to."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    for path, anchor in LINK.findall(page.read_text()):
        target = page.parent / path if path else page
        assert target.exists(), f"{page.name}: {path}"
        assert not anchor or anchor in anchors(target), f"{page.name}: {path}#{anchor}"


def test_the_readme_leads_each_kind_of_user_to_their_page() -> None:
    linked = {path for path, _ in LINK.findall((ROOT / "README.md").read_text())}
    assert {f"docs/{name}" for name in USERS} <= linked


def test_every_metric_has_its_line_on_the_page_for_operators() -> None:
    rows = [f"| `{each.name}` | {', '.join(each.labels) or '-'} | {each.kind} | {each.meaning} |"
            for each in catalogue()]  # fmt: skip
    lines = (DOCS / "sre.md").read_text().splitlines()
    assert lines[lines.index("## Every metric") + 4 :] == rows


def test_alerts_ask_for_metrics_and_labels_there_are_and_have_a_runbook() -> None:
    known = {each.name: set(each.labels) for each in catalogue()}
    text = (DOCS / "sre.md").read_text()
    alerts = text.partition("## Alerts")[2].partition("## Runbooks")[0]
    rows = [line.split(" | ") for line in alerts.splitlines() if "](#" in line]
    assert len(rows) > 10
    for row in rows:
        names = re.findall(rf"{PREFIX}\w+", row[1])
        assert names or "/readyz" in row[1]
        labels: set[str] = {"le"}
        for name in names:
            base = next((name.removesuffix(each) for each in SUFFIXES if name.endswith(each)), name)
            assert base in known, name
            labels |= known[base]
        wanted = re.findall(r"by \(([^)]*)\)", row[1]) + re.findall(r"\{(\w+)=", row[1])
        assert {each.strip() for part in wanted for each in part.split(",")} <= labels, row[0]


def test_types_and_topics_that_pages_name_are_there() -> None:
    types = {each.type for each in OPERATIONS} | {f"{PREFIX_OF_TYPES}{d.name}" for d in DOCUMENTS}
    for name in USERS:
        text = (DOCS / name).read_text()
        for type_ in re.findall(r"`(crossroads\.(?:order|change)\.[a-z-]+\.v1)`", text):
            assert type_ in types, type_
