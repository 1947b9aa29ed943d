"""Tokens: the names of what a waiter sleeps on and an upsert wakes (protocol §3, races b and c).

A waiter registers the tokens that may help it; an upsert wakes the tokens of its row as it was
and as it becomes. Both sides must build them here, or the waiter sleeps for ever.
"""

from __future__ import annotations

from services.domain.world import Mapping, MasterRecord, Scope


def source_id_token(scope: Scope, entity: str, source_id: str) -> str:
    """Waits for a mapping of this source id."""
    return f"id|{scope.tenant_id}|{scope.system}|{entity}|{source_id}"


def source_name_token(scope: Scope, entity: str, source_name: str) -> str:
    """Waits for a mapping with this display name, or for an ambiguous one to become clear."""
    return f"name|{scope.tenant_id}|{scope.system}|{entity}|{source_name}"


def mapped_goid_token(scope: Scope, goid: str) -> str:
    """Waits for a mapping of this master record in a scope."""
    return f"of|{scope.tenant_id}|{scope.system}|{goid}"


def record_token(goid: str) -> str:
    """Waits for a master record, or for a change of it."""
    return f"record|{goid}"


def tenant_token(slug: str) -> str:
    """Waits for a tenant."""
    return f"tenant|{slug}"


def tokens_of_mapping(mapping: Mapping) -> tuple[str, ...]:
    """All tokens an upsert of this mapping wakes."""
    scope = Scope(mapping.tenant_id, mapping.system)
    return (
        source_id_token(scope, mapping.entity, mapping.source_id),
        source_name_token(scope, mapping.entity, mapping.source_name),
        mapped_goid_token(scope, mapping.goid),
    )


def tokens_of_record(record: MasterRecord) -> tuple[str, ...]:
    """All tokens an upsert of this master record wakes: its own, its tanks' and its components'."""
    return (
        record_token(record.goid),
        *(record_token(tank.goid) for tank in record.tanks),
        *(record_token(component.product) for component in record.components),
    )
