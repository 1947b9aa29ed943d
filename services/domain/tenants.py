"""Who takes part: tenants with their systems and instances, and the pairs between them."""

from __future__ import annotations

from dataclasses import dataclass

OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Instance:
    """One installation of a system."""

    id: str
    name: str

    def __hash__(self) -> int:
        """By id: what is remembered of it is looked up for every command."""
        return hash(self.id)


@dataclass(frozen=True, slots=True)
class System:
    """A system of a tenant: where source ids have their meaning."""

    id: str
    name: str
    primary: bool
    instances: tuple[Instance, ...] = ()

    def __hash__(self) -> int:
        """By id: what is remembered of it is looked up for every command."""
        return hash(self.id)


@dataclass(frozen=True, slots=True)
class Tenant:
    """A company. `name` is what answers say, `slug` what topics and settings say."""

    id: str
    slug: str
    name: str
    active: bool = True
    partitions: int = 3
    systems: tuple[System, ...] = ()

    def __hash__(self) -> int:
        """By id: what is remembered of it is looked up for every command."""
        return hash(self.id)

    def system(self, name: str | None) -> System | None:
        """The system of this name; without a name the primary one, else the first (R005)."""
        for system in self.systems:
            if system.primary if name is None else system.name == name:
                return system
        return self.systems[0] if self.systems and name is None else None


# The hub's own operators: no tenant of any pair, but with a results topic like everyone.
OPERATORS = Tenant(id=OPERATOR, slug=OPERATOR, name="Operator")


@dataclass(frozen=True, slots=True)
class Pair:
    """Orders go from `origin` to `destination`, under these policies."""

    id: str
    origin: Tenant
    destination: Tenant
    acceptance: str = "auto"
    origin_updates: str = "apply"
    destination_updates: str = "propose"
    destination_system: str | None = None
    destination_instance: str | None = None

    def __hash__(self) -> int:
        """By id: what is remembered of it is looked up for every command."""
        return hash(self.id)


@dataclass(slots=True)
class Directory:
    """The tenants and pairs a batch speaks of; a tenant is found by slug or exact name (K01)."""

    by_slug: dict[str, Tenant]
    by_name: dict[str, Tenant]
    by_id: dict[str, Tenant]
    pairs: dict[tuple[str, str], Pair]

    @classmethod
    def of(cls, tenants: list[Tenant], pairs: list[Pair]) -> Directory:
        """A directory of these tenants and the pairs between them."""
        return cls(
            by_slug={tenant.slug: tenant for tenant in tenants},
            by_name={tenant.name: tenant for tenant in tenants},
            by_id={tenant.id: tenant for tenant in tenants},
            pairs={(pair.origin.id, pair.destination.id): pair for pair in pairs},
        )

    def find(self, name: str) -> Tenant | None:
        """The tenant with this slug or exactly this name; None when there is none."""
        return self.by_slug.get(name) or self.by_name.get(name)

    def pair(self, origin: Tenant, destination: Tenant) -> Pair | None:
        """The pair in this direction, if there is one."""
        return self.pairs.get((origin.id, destination.id))
