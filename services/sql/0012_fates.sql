-- What was said last of an order's fate: by its destination (X06, X07), by whoever canceled it (X08).

ALTER TABLE orders ADD COLUMN cancellation json;
ALTER TABLE orders ADD COLUMN last_receipt json;
ALTER TABLE orders ALTER COLUMN cancellation SET STATISTICS 0;
ALTER TABLE orders ALTER COLUMN last_receipt SET STATISTICS 0;

-- The creates of orders that wait for acceptance, as received: they are answered when it is decided.
CREATE TABLE requested_creates (
    order_id text PRIMARY KEY,
    record bytea NOT NULL
);
