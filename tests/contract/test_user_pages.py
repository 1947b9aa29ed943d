"""The pages for the hub's users: their links lead somewhere, what they name is there."""

import re
from pathlib import Path

import pytest

from schemas import topics
from schemas.codes import code_catalogue
from schemas.operations import OPERATIONS
from services.kit.metrics import PREFIX, catalogue
from services.local.stack import SERVICES

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


TYPE = re.compile(r"`(crossroads\.(?:order|change|reference)\.[a-z-]+\.v1)`")


def test_types_that_pages_name_are_there() -> None:
    known = {each.type for each in OPERATIONS} | set(topics.types_of(topics.SYNC))
    for page in PAGES:
        assert set(TYPE.findall(page.read_text())) <= known, page.name


def test_the_destinations_page_has_every_record_that_comes() -> None:
    """R084, R088, X01, X06-X09."""
    text = (DOCS / "integrators-destination.md").read_text()
    assert set(topics.types_of(topics.SYNC)) <= set(TYPE.findall(text))


def test_every_waiting_answer_is_told_to_upstreams_and_every_path_is_on_the_page_of_http() -> None:
    """K41, X11."""
    told = (DOCS / "integrators-upstream.md").read_text()
    for code, entry in code_catalogue().items():
        assert entry.outcome != "waiting" or f"`{code}`" in told
    http = (DOCS / "http.md").read_text()
    for each in OPERATIONS:
        assert each.path.removeprefix("/v1").rpartition("reference/")[2] in http, each.name


def test_the_operators_page_has_every_process_with_what_it_takes_in() -> None:
    """Guarantee of the contract: six processes, four of them readers of topics."""
    text = (DOCS / "sre.md").read_text().partition("## The processes")[2].partition("\n## ")[0]
    for service in SERVICES:
        assert f"\n| {service} |" in text
    for base in (topics.ORDERS, topics.PROGRESS, topics.CHANGES, topics.REFERENCE):
        assert f"`{base}*`" in text
