"""The rooms stand on floors, and import only from floors below them."""

import re
import sys
import tomllib
from pathlib import Path

import grimp
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

ROOT = Path(__file__).parents[2]
# What decisions may be made with, besides the wire documents and the standard library.
DECISION_PACKAGES = {"schemas", "services", "whenever"}
# Modules of the standard library that would make a decision depend on more than its arguments.
IMPURE = {"asyncio", "http", "logging", "os", "pathlib", "random", "secrets", "socket", "time"}


def layers() -> str:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (contract,) = [c for c in settings["tool"]["importlinter"]["contracts"] if c["id"] == "floors"]
    return "\n".join(contract["layers"])


def imports_of_domain() -> set[str]:
    graph = grimp.build_graph("services", "schemas", include_external_packages=True)
    rooms = {"services.domain"} | graph.find_descendants("services.domain")
    return {
        imported
        for room in rooms
        for imported in graph.find_modules_directly_imported_by(room)
        if imported not in rooms
    }


def test_rooms_import_only_from_floors_below_them():
    assert lint_imports(config_filename=str(ROOT / "pyproject.toml")) == EXIT_STATUS_SUCCESS


def test_every_room_has_its_floor():
    rooms = {p.parent.name for p in (ROOT / "services").glob("*/__init__.py")}
    named = set(re.findall(r"services\.(\w+)", layers()))
    assert rooms - named == set()


def test_decisions_use_the_wire_documents_times_and_nothing_else():
    packages = {name.split(".")[0] for name in imports_of_domain()}
    assert packages - DECISION_PACKAGES - set(sys.stdlib_module_names) == set()
    assert packages & IMPURE == set()
