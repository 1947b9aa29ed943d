"""A client that is generated from the OpenAPI document works, types and all (X12, R001)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx

from tests.contract.served import Served

HERE = Path(__file__).parent
# `make setup` makes it beside the interpreter's own environment.
GENERATOR = Path(sys.prefix) / "generator" / "bin"
# Pictures have media types the generator has no types for.
UNKNOWN_TO_IT = ("application/pdf", "image/jpeg", "image/png")


def run(*words: str | Path, **environment: str) -> str:
    done = subprocess.run(
        [str(word) for word in words],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
        env={"PATH": f"{GENERATOR}:{os.environ['PATH']}", **environment},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_generated_client_gets_a_token_and_creates_moves_and_changes_an_order(
    gateway: Served, tmp_path: Path
) -> None:
    """R086, R089, R085, R094, R095, K08, K29, X01, X02, X04."""
    assert GENERATOR.exists(), "`make setup` makes the generator's environment"
    document = tmp_path / "openapi.json"
    document.write_text(httpx.get(f"{gateway.url}/openapi.json", trust_env=False).text)
    words = ("generate", "--meta", "none", "--path", document, "--output-path")
    said = run(GENERATOR / "openapi-python-client", *words, tmp_path / "crossroads_client")
    warned = [line for line in said.splitlines() if "nsupported content" in line]
    assert [line for line in warned if not any(kind in line for kind in UNKNOWN_TO_IT)] == []
    parsed = [line for line in said.splitlines() if line.startswith("WARNING parsing")]
    assert [line for line in parsed if "within blob" not in line] == []
    story = run(
        *(GENERATOR / "python", "-P", HERE / "generated_client_story.py"),
        *(gateway.url, gateway.client_id, gateway.client_secret, gateway.partners_key),
        PYTHONPATH=str(tmp_path),
    )
    assert json.loads(story) == {
        "created": "synced",
        "number": "GENERATED-1",
        "found": "synced",
        "volume": 5000,
        "moved": "driving_to_load",
        "missed": "Order not found for number: none",
        "again": "no_progress",
        "updated": ["synced", "Gate 4", None],
        "proposed": ["po_change"],
        "refused": "change.not_yours",
        "accepted": ["synced", "PO-7", "PO-7"],
        "listed": [True],
    }
