-- Proposed changes of orders, pending and settled (X01-X04).

CREATE TABLE order_changes (
    id text PRIMARY KEY,
    order_id text NOT NULL,
    origin_id text NOT NULL,
    destination_id text NOT NULL,
    proposer_id text NOT NULL,
    -- the command that proposed it
    command_id text NOT NULL,
    status text NOT NULL,
    -- whether the order was updated since
    stale boolean NOT NULL DEFAULT false,
    reason_code text,
    change_types text[] NOT NULL,
    -- the members as they would become, and what differs as either side is told
    amended json NOT NULL,
    changes json NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
ALTER TABLE order_changes ALTER COLUMN amended SET STATISTICS 0;
ALTER TABLE order_changes ALTER COLUMN changes SET STATISTICS 0;

-- An order has one pending change at most.
CREATE UNIQUE INDEX order_changes_pending ON order_changes (order_id) WHERE status = 'requested';
CREATE INDEX order_changes_of_order ON order_changes (order_id, id);
-- The lists of either side: by time of proposal, of one status too, and by time of the last step.
CREATE INDEX order_changes_of_origin ON order_changes (origin_id, created_at, id);
CREATE INDEX order_changes_of_destination ON order_changes (destination_id, created_at, id);
CREATE INDEX order_changes_kind_of_origin ON order_changes (origin_id, status, created_at, id);
CREATE INDEX order_changes_kind_of_destination
    ON order_changes (destination_id, status, created_at, id);
CREATE INDEX order_changes_moved_of_origin ON order_changes (origin_id, updated_at, id);
CREATE INDEX order_changes_moved_of_destination ON order_changes (destination_id, updated_at, id);
