"""Where the orders are loaded: named and unnamed terminals, blends, lists (R047-R053, K06)."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from services.cli.demo.trade import (
    BLENDS,
    COMPANIES,
    LATE_SUPPLIER,
    LATE_TERMINAL,
    TERMINALS,
    Words,
)

_PRICED = ("rack", "index", "inventory", "spot", "contract")


@dataclass(slots=True)
class Loads:
    """The loads of a drop as they are sent and as they must be received."""

    written: list[dict[str, Any]] = field(default_factory=list)
    wanted: list[dict[str, Any]] = field(default_factory=list)
    features: set[str] = field(default_factory=set)


def draw_loads(
    rng: random.Random, ours: Words, theirs: Words, product: str, *, late: frozenset[str]
) -> Loads:
    """Loads of a drop of this product; those of `late` that concern loads are used in it."""
    pen = _Pen(rng, ours, theirs, late, Loads())
    if product in BLENDS and rng.random() < 0.7:
        pen.blend(product)
    elif late & {"supplier", "terminal"} or rng.random() < 0.75:
        pen.single()
    return pen.loads


@dataclass(slots=True)
class _Pen:
    rng: random.Random
    ours: Words
    theirs: Words
    late: frozenset[str]
    loads: Loads

    def blend(self, product: str) -> None:
        """One load a component; all name the same parameters (R049)."""
        rng = self.rng
        terminal = "terminal" in self.late or rng.random() < 0.8
        supplier = "supplier" in self.late or rng.random() < 0.7
        price = rng.choice((None, *_PRICED))
        for component, _ in BLENDS[product]:
            self._load(
                products=[component],
                terminals=self._terminals(1) if terminal else [],
                suppliers=self._suppliers(1) if supplier else [],
                prices=[price] if price else [],
                plural=False,
            )
        self.loads.features.add("blend")
        self.loads.features.add("named-terminal" if terminal else "unnamed-terminal")

    def single(self) -> None:
        """One load; its product is the drop's (R051)."""
        rng = self.rng
        plural = rng.random() < 0.25
        count = 2 if plural else 1
        terminal = "terminal" in self.late or rng.random() < 0.7
        supplier = "supplier" in self.late or not terminal or rng.random() < 0.6
        prices = rng.sample(_PRICED, count) if rng.random() < 0.6 else []
        self._load(
            products=[],
            terminals=self._terminals(count) if terminal else [],
            suppliers=self._suppliers(count) if supplier else [],
            prices=prices,
            plural=plural,
        )
        self.loads.features.add("named-terminal" if terminal else "unnamed-terminal")
        if plural:
            self.loads.features.add("lists")

    def _terminals(self, count: int) -> list[str]:
        first = [LATE_TERMINAL] if "terminal" in self.late else []
        return [*first, *self.rng.sample(sorted(TERMINALS), count)][:count]

    def _suppliers(self, count: int) -> list[str]:
        first = [LATE_SUPPLIER] if "supplier" in self.late else []
        return [*first, *self.rng.sample(sorted(COMPANIES), count)][:count]

    def _load(
        self,
        *,
        products: list[str],
        terminals: list[str],
        suppliers: list[str],
        prices: list[str],
        plural: bool,
    ) -> None:
        contracts = [f"C-{self.rng.randrange(100):02}/Å"] if "contract" in prices else []
        written: dict[str, Any] = {}
        for name, values in (
            ("product", [self._key(goid) for goid in products]),
            ("terminal", [self._key(goid) for goid in terminals]),
            ("supplier", [self._key(goid) for goid in suppliers]),
            ("price_type", prices),
            ("contract", contracts),
        ):
            if values and plural:
                written[f"{name}s"] = list(values)
            elif values:
                written[name] = values[0]
        self.loads.written.append(written)
        self.loads.wanted.append(
            {
                "terminals": [self.theirs.main(goid).source_id for goid in terminals],
                "products": [self.theirs.main(goid).source_id for goid in products],
                "suppliers": [self.theirs.main(goid).source_id for goid in suppliers],
                "price_types": list(prices),
                "contracts": contracts,
            }
        )

    def _key(self, goid: str) -> dict[str, Any]:
        name = self.ours.main(goid)
        if goid == LATE_TERMINAL:
            return {"source_name": name.source_name}
        if goid == LATE_SUPPLIER:
            return {"source_id": name.source_id}
        return self.rng.choice(
            ({"source_id": name.source_id}, {"source_name": name.source_name}, {"goid": goid})
        )
