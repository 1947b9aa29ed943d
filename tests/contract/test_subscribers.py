"""FastStream's default acknowledges first: at most once. Every subscription must say otherwise."""

import ast
from pathlib import Path

SERVICES = Path(__file__).parents[2] / "services"
WANTED = {
    "ack_policy": "AckPolicy.MANUAL",
    "auto_offset_reset": "'none'",
    "isolation_level": "'read_committed'",
    "batch": "True",
}


def subscriptions() -> list[tuple[str, ast.Call]]:
    return [
        (f"{path.relative_to(SERVICES)}:{node.lineno}", node)
        for path in sorted(SERVICES.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "subscriber"
    ]


def test_every_subscription_says_literally_how_it_reads() -> None:
    assert subscriptions()
    for where, call in subscriptions():
        said = {each.arg: ast.unparse(each.value) for each in call.keywords}
        for name, value in WANTED.items():
            assert said.get(name) == value, f"{where} must say {name}={value}"
        assert "group_id" in said, where
