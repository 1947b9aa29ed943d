"""The scalar types of the wire, and `adapter`, which builds a document's one TypeAdapter.

Nothing is coerced: a number is no text, `true` is no number, a timestamp in seconds is no
datetime. Every check runs inside pydantic-core; a Python validator here would run once for
each of the sixteen mapping keys of an order.
"""

import copy
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    Strict,
    TypeAdapter,
    with_config,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

T = TypeVar("T")

CONFIG = ConfigDict(
    extra="forbid",
    hide_input_in_errors=True,
    allow_inf_nan=False,
    defer_build=True,
)


wire = with_config(CONFIG)
"""Decorates every TypedDict of the wire: unknown members are errors, nothing is echoed."""


def adapter(document: type[T]) -> TypeAdapter[T]:
    """The TypeAdapter of one document; it is built at its first use, not at import."""
    return TypeAdapter(document)


@dataclass(frozen=True, eq=False)
class _Wire:
    """A fixed core schema, and the JSON Schema that tells the outside the same."""

    core: CoreSchema
    json: JsonSchemaValue

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        # pydantic writes into what it gets: a shared schema would take on another type's notes.
        return copy.deepcopy(self.core)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return dict(self.json)


# The years are bounded so that no conversion between offsets can leave datetime's range.
DATETIME_PATTERN = (
    r"^[12][0-9]{3}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}"
    r"(:[0-9]{2}(\.[0-9]+)?)?([Zz]|[+-][0-9]{2}:?[0-9]{2})?$"
)

_MOMENT = core_schema.custom_error_schema(
    core_schema.chain_schema(
        [
            core_schema.str_schema(pattern=DATETIME_PATTERN, strict=True),
            core_schema.datetime_schema(),
        ]
    ),
    custom_error_type="datetime_parsing",
    custom_error_context={"error": "as ISO 8601 text"},
)

Moment = Annotated[
    datetime,
    _Wire(
        _MOMENT,
        {
            "type": "string",
            "pattern": DATETIME_PATTERN,
            "description": "ISO 8601. Without an offset: local time of the order's time zone.",
        },
    ),
]
"""A date and time from ISO 8601 text; one without offset stays naive (K27)."""

Instant = Annotated[
    datetime,
    _Wire(
        _MOMENT,
        {"type": "string", "format": "date-time", "description": "RFC 3339, in UTC."},
    ),
]
"""A date and time the hub says: always UTC with `Z` (K30)."""

Number = Annotated[
    Decimal,
    _Wire(
        core_schema.chain_schema(
            [
                core_schema.float_schema(strict=True, allow_inf_nan=False),
                core_schema.decimal_schema(allow_inf_nan=False),
            ]
        ),
        {"type": "number"},
    ),
]
"""A JSON number as Decimal; text and booleans are refused (K16)."""

Volume = Annotated[
    Decimal,
    _Wire(
        core_schema.chain_schema(
            [
                core_schema.float_schema(
                    strict=True, allow_inf_nan=False, ge=-1_000_000_000, le=1_000_000_000
                ),
                core_schema.decimal_schema(allow_inf_nan=False),
            ]
        ),
        {"type": "number", "minimum": -1_000_000_000, "maximum": 1_000_000_000},
    ),
]
"""A measured volume, or a stick in inches: any number of decimals is taken, four are kept (K16)."""

Ratio = Annotated[
    Decimal,
    _Wire(
        core_schema.chain_schema(
            [
                core_schema.float_schema(strict=True, allow_inf_nan=False, gt=0, le=1),
                core_schema.decimal_schema(allow_inf_nan=False),
            ]
        ),
        {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
    ),
]
"""The share of a component in a blend: above 0, at most 1 (R050)."""

HEX24 = r"^[0-9a-f]{24}$"
SLUG_PATTERN = r"^[a-z0-9-]{2,40}$"

Flag = Annotated[bool, Strict()]
Integer = Annotated[int, Strict()]
WholeVolume = Annotated[int, Strict(), Field(gt=0, le=1_000_000_000)]
"""A volume to deliver: a whole number above 0, in the order's units (R027, K27)."""

Id24 = Annotated[str, Field(pattern=HEX24)]
"""An id of the hub: 24 lower-case hex characters (R017)."""

Slug = Annotated[str, Field(pattern=SLUG_PATTERN)]
Identifier = Annotated[str, Field(max_length=255)]
"""What is looked up: numbers, source ids, names, goids. 255 characters fit an index row."""

RequiredIdentifier = Annotated[str, Field(min_length=1, max_length=255)]
Note = Annotated[str, Field(max_length=300)]
Contract = Annotated[str, Field(max_length=100)]
TankId = Annotated[str, Field(max_length=10)]
TankGoid = Annotated[str, Field(max_length=50)]
ReasonCode = Annotated[str, Field(max_length=30)]

FreeData = dict[str, Any]
"""`extra_data`: any JSON object, passed on unchanged (R030). Its 64 KiB limit (K31) is a rule."""

PriceType = Literal["rack", "contract", "index", "inventory", "spot"]
Units = Literal["gallons", "liters"]
IntegrationStatus = Literal[
    "pending",
    "requested",
    "origin_mapped",
    "master_mapped",
    "destination_mapped",
    "synced",
    "canceled",
    "error",
    "rejected",
]
"""The nine (R064-R072, K02)."""

ProgressionState = Literal["No Progress", "In Progress", "Complete"]
ProgressStatus = Literal[
    "assigned",
    "driving_to_load",
    "arrived_at_load",
    "loading",
    "completed_load",
    "driving_to_drop",
    "arrived_at_drop",
    "dropping",
    "completed_drop",
    "complete",
]
TripStatus = Literal[
    "no_progress",
    "assigned",
    "driving_to_load",
    "arrived_at_load",
    "loading",
    "completed_load",
    "driving_to_drop",
    "arrived_at_drop",
    "dropping",
    "completed_drop",
    "complete",
]
"""The latest progress status; `no_progress` is said only, never taken (K14)."""
