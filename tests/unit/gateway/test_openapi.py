from typing import Any

import pytest

from services.gateway.openapi import to_openapi_30


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (
            {"anyOf": [{"type": "string", "maxLength": 3}, {"type": "null"}], "title": "T"},
            {"type": "string", "maxLength": 3, "nullable": True},
        ),
        (
            {"anyOf": [{"$ref": "#/$defs/A"}, {"type": "null"}]},
            {"allOf": [{"$ref": "#/components/schemas/A"}], "nullable": True},
        ),
        (
            {"anyOf": [{"type": "string"}, {"type": "integer"}, {"type": "null"}]},
            {"anyOf": [{"type": "string"}, {"type": "integer"}], "nullable": True},
        ),
        (
            {"anyOf": [{"type": "string"}, {"type": "integer"}]},
            {"anyOf": [{"type": "string"}, {"type": "integer"}]},
        ),
        (
            {"anyOf": [{"type": "string", "enum": ["a", "b"]}, {"type": "null"}]},
            {"type": "string", "enum": ["a", "b", None], "nullable": True},
        ),
        ({"const": "order"}, {"enum": ["order"]}),
        (
            {"type": "integer", "exclusiveMinimum": 0, "maximum": 9},
            {"type": "integer", "minimum": 0, "exclusiveMinimum": True, "maximum": 9},
        ),
        (
            {"$schema": "s", "$id": "i", "$defs": {}, "type": "object"},
            {"type": "object"},
        ),
        (
            {"properties": {"title": {"type": "string", "title": "Title"}}},
            {"properties": {"title": {"type": "string"}}},
        ),
    ],
)
def test_json_schema_is_put_into_the_words_of_openapi_30(schema: Any, expected: Any) -> None:
    assert to_openapi_30(schema) == expected
