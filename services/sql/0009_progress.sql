-- The driver's side: what is known of an order's trip, and commands that wait for their order.

-- What is known of the trip beside its latest status (K26); none until the first one.
ALTER TABLE orders ADD COLUMN trip json;
ALTER TABLE orders ALTER COLUMN trip SET STATISTICS 0;

-- Nothing is released yet, so these tables are small wherever this runs.
-- An order as its origin knows it by the number that the destination gave (K34).
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX orders_told_number ON orders (origin_id, destination_number)
    WHERE destination_number IS NOT NULL;
-- The few orders with something in their lane, among all there ever were.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX orders_waiting ON orders (id) WHERE waiting > 0;

-- Whoever waits for a number names the other tenant: an order of these two takes the command over.
ALTER TABLE lane_commands ADD COLUMN wait_partner text;
-- What the intake's clock had counted when it began to wait (see intake_clock); seconds.
ALTER TABLE lane_commands ADD COLUMN counted_from double precision;
-- The order's own create goes before everything, also before what came earlier and waited for it.
ALTER TABLE lane_commands ADD COLUMN goes_first boolean NOT NULL DEFAULT false;
UPDATE lane_commands SET goes_first = true WHERE operation = 'order.create';
-- squawk-ignore require-concurrent-index-deletion
DROP INDEX lane_commands_of_order;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX lane_commands_of_order ON lane_commands (order_id, goes_first DESC, id)
    WHERE order_id IS NOT NULL;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX lane_commands_by_wait ON lane_commands (counted_from) WHERE wait_number IS NOT NULL;

-- How long order-intake has kept up with its input, all in all: the time by which commands wait for
-- a number that nobody knows (K42). While it does not keep up the clock stands still.
CREATE TABLE intake_clock (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    counted double precision NOT NULL DEFAULT 0,
    looked_at timestamptz NOT NULL DEFAULT now(),
    -- the last look at which it kept up
    kept_up_at timestamptz
) WITH (fillfactor = 10);
INSERT INTO intake_clock DEFAULT VALUES;

-- Up to when everything that had arrived on a partition is processed, as its reader last saw it.
CREATE TABLE intake_sights (
    topic text NOT NULL,
    partition integer NOT NULL,
    cluster_id text NOT NULL,
    reached_at timestamptz NOT NULL,
    PRIMARY KEY (topic, partition)
) WITH (fillfactor = 50);
