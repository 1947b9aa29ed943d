"""The bound on unforeseen failures: a broken release must not empty a topic as dead letters.

Counted in the database, so that a service which is started again goes on counting, and so that all
processes of a group count together.
"""

from dataclasses import dataclass

from services.kit.cloudevents import Source
from services.kit.errors import ServiceMustStop
from services.kit.positions import DatabaseConnection

_MAX_ERROR_CHARACTERS = 500

_INSERT = """
    insert into stream_faults
        (consumer_group, cluster_id, topic, partition, record_offset, lineage, records, error)
    values ($1, $2, $3, $4, $5, $6, $7, $8)
"""
# How many records the partitions that had faults took since the first of these, those included.
_COUNT = """
    with recent as (
        select cluster_id, topic, partition, count(*) as faults, min(records) as since
        from stream_faults
        where consumer_group = $1 and happened_at > now() - make_interval(secs => $2)
        group by cluster_id, topic, partition
    )
    select coalesce(sum(r.faults), 0)::bigint as faults,
        coalesce(sum(greatest(p.records - r.since + 1, r.faults)), 0)::bigint as records
    from recent r
    join stream_positions p using (cluster_id, topic, partition)
    where p.consumer_group = $1
"""


_COUNT_APART = """
    select count(*) as faults, min(records) as since from stream_faults
    where consumer_group = $1 and happened_at > now() - make_interval(secs => $2)
"""


@dataclass(frozen=True, slots=True)
class FaultBound:
    """How many faults are too many.

    The service stops at more than `count` faults within `window_seconds`, provided they are more
    than `share` of the records that their partitions took meanwhile.
    """

    count: int = 20
    share: float = 0.05
    window_seconds: float = 600.0


async def store(
    connection: DatabaseConnection,
    bound: FaultBound,
    *,
    group: str,
    cluster_id: str,
    lineage: int,
    source: Source,
    records: int,
    error: BaseException,
) -> None:
    """Counts one fault within the transaction that gives up its record.

    `records` is the partition's count before this record. Raises ServiceMustStop when this one is
    over the bound; the caller's transaction then rolls back and the record stays where it is.
    """
    place = (group, cluster_id, source.topic, source.partition, source.offset, lineage)
    await connection.execute(_INSERT, *place, records, _told(error))
    row = await connection.fetchrow(_COUNT, group, bound.window_seconds)
    if row is not None:
        _hold(bound, row["faults"], row["records"], source, error)


async def store_apart(
    connection: DatabaseConnection,
    bound: FaultBound,
    *,
    group: str,
    source: Source,
    records: int,
    error: BaseException,
) -> None:
    """Counts one fault of work that no reader of a stream does, under the same bound.

    `records` is how many records the group has taken in all, this one included; `source` is where
    it came from once. Raises ServiceMustStop as `store` does.
    """
    place = (group, source.cluster_id, source.topic, source.partition, source.offset, 0)
    await connection.execute(_INSERT, *place, records, _told(error))
    row = await connection.fetchrow(_COUNT_APART, group, bound.window_seconds)
    if row is not None and row["since"] is not None:
        _hold(bound, row["faults"], records - row["since"] + 1, source, error)


def _told(error: BaseException) -> str:
    told = f"{type(error).__name__}: {error}".replace("\x00", "")[:_MAX_ERROR_CHARACTERS]
    return told.encode("utf-8", "replace").decode()


def _hold(
    bound: FaultBound, faults: int, records: int, source: Source, error: BaseException
) -> None:
    taken = max(records, faults, 1)
    if faults > bound.count and faults / taken > bound.share:
        raise ServiceMustStop(
            f"{faults} of {taken} records failed in unforeseen ways within "
            f"{bound.window_seconds:.0f} seconds, this one at {source.topic}/{source.partition}/"
            f"{source.offset} by {type(error).__name__}"
        )
