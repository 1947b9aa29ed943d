-- How far every consumer group has read, and which records it could not digest.

-- One row a partition of a topic of a cluster. next_offset is the mark: the only truth about what
-- was processed, moved by the transaction that stores what the records caused.
create table stream_positions (
    cluster_id text collate "C" not null,
    consumer_group text collate "C" not null,
    topic text collate "C" not null,
    partition integer not null,
    next_offset bigint not null check (next_offset >= 0),
    -- Rises when the topic was made anew under the same cluster id, so that two records at the
    -- same offset never share an identity.
    lineage integer not null default 0,
    -- All records ever taken, against which the share of the faults is measured.
    records bigint not null default 0,
    updated_at timestamptz not null default now(),
    primary key (cluster_id, consumer_group, topic, partition)
)
with (fillfactor = 50);

-- One row a record whose processing failed in a way nobody foresaw.
create table stream_faults (
    id bigint generated always as identity primary key,
    happened_at timestamptz not null default now(),
    consumer_group text collate "C" not null,
    cluster_id text collate "C" not null,
    topic text collate "C" not null,
    partition integer not null,
    record_offset bigint not null,
    lineage integer not null,
    -- stream_positions.records of the partition when the fault was stored.
    records bigint not null,
    error text not null
);

create index stream_faults_recent on stream_faults (consumer_group, happened_at);
