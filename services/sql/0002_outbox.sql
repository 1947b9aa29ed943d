-- The outbox: records that a transaction causes, until the broker has acknowledged them.
-- CACHE 1 and "an xid before the first id" are what the relay's settled mark rests on
-- (docs/decisions/0005-relay.md); a larger cache would hand out low ids late.
CREATE SEQUENCE outbox_id_seq AS bigint CACHE 1;

CREATE TABLE outbox_settings (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    shards smallint NOT NULL CHECK (shards BETWEEN 1 AND 64)
);
-- Four shards: more of them cost throughput with transactions (measured), and a relay
-- serves all it owns in one loop. Change it only while both tables are empty.
INSERT INTO outbox_settings (shards) VALUES (4);

-- Columns stand by alignment, widest first, so that a row carries no padding.
CREATE TABLE outbox (
    id bigint NOT NULL,
    after_id bigint,                                    -- a row that must be gone first
    accepted_ms bigint,                                 -- epoch ms; on syncs of a create
    stored_at timestamptz NOT NULL DEFAULT now(),
    waiting_id uuid,                                    -- ce_id of a waiting answer, if one is told
    shard smallint NOT NULL,
    kind smallint NOT NULL CHECK (kind BETWEEN 0 AND 3),  -- sync, waiting, final, dead letter
    told_before boolean NOT NULL,
    topic text NOT NULL,
    stream text,
    cause bytea,
    key bytea,
    headers bytea NOT NULL,                             -- services/kit/outbox.py, pack_headers
    value bytea,                                        -- null only in the dead letter of a null
    told bytea,                                         -- the waiting answer told when parked
    CONSTRAINT outbox_pkey PRIMARY KEY (id)
) WITH (
    fillfactor = 100,                                   -- nothing is ever updated
    toast_tuple_target = 8160,                          -- most records stay in the heap page
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_insert_threshold = -1,
    autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0,
    autovacuum_analyze_threshold = 100000,
    toast.autovacuum_vacuum_scale_factor = 0,
    toast.autovacuum_vacuum_threshold = 5000,
    toast.autovacuum_vacuum_cost_delay = 0
);
-- A row lives for milliseconds: compressing it costs more than the pages it saves.
ALTER TABLE outbox ALTER COLUMN value SET STORAGE EXTERNAL;
ALTER TABLE outbox ALTER COLUMN told SET STORAGE EXTERNAL;
ALTER SEQUENCE outbox_id_seq OWNED BY outbox.id;

-- Rows whose topic takes no records now, with what must not overtake them.
CREATE TABLE outbox_parked (
    id bigint NOT NULL,
    after_id bigint,
    accepted_ms bigint,
    stored_at timestamptz NOT NULL,
    waiting_id uuid,
    shard smallint NOT NULL,
    kind smallint NOT NULL CHECK (kind BETWEEN 0 AND 3),
    told_before boolean NOT NULL,
    topic text NOT NULL,
    stream text,
    cause bytea,
    key bytea,
    headers bytea NOT NULL,
    value bytea,                                        -- null only in the dead letter of a null
    told bytea,
    refused text,                                       -- why the broker refused this very record
    parked_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT outbox_parked_pkey PRIMARY KEY (id)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);

CREATE INDEX outbox_parked_topic ON outbox_parked (topic, id);
CREATE INDEX outbox_parked_stream ON outbox_parked (stream, id) WHERE stream IS NOT NULL;
CREATE INDEX outbox_parked_cause ON outbox_parked (cause, kind) WHERE cause IS NOT NULL;
CREATE INDEX outbox_parked_refused ON outbox_parked (id) WHERE refused IS NOT NULL;
