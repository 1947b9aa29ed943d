-- What a relay that delivers exactly once is about to publish, a row a shard. Kafka keeps the number
-- of the last batch that went out; the two together say after any end whether this one did.
CREATE TABLE relay_batches (
    shard smallint PRIMARY KEY,
    -- Numbers rise and are never given to another batch, so a row of each shard stays for ever.
    batch_no bigint NOT NULL CHECK (batch_no >= 0),
    -- Numbers mean something in one cluster only.
    cluster_id text NOT NULL,
    -- Ids of outbox. Empty where it is known that the batch did not go out.
    row_ids bigint[] NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);
