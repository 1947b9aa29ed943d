-- Orders, the commands that made them so, what waits, and what happened.

CREATE TABLE orders (
    id text PRIMARY KEY,
    origin_id text NOT NULL REFERENCES tenants (id),
    destination_id text NOT NULL REFERENCES tenants (id),
    origin_number text NOT NULL,
    destination_number text,
    po text,
    -- the create that made it
    command_id text NOT NULL,
    correlation_id text NOT NULL,
    origin_system text,
    origin_instance text,
    -- the four axes from which the nine states derive (K39)
    mapping text NOT NULL,
    delivery text NOT NULL,
    receipt text NOT NULL,
    progress text NOT NULL,
    failed_at_step text,
    message text,
    units text NOT NULL DEFAULT 'gallons',
    created_by_hauler boolean NOT NULL DEFAULT false,
    -- json, not jsonb: what is searched stands in columns of its own
    origin_document json NOT NULL,
    master_document json,
    destination_document json,
    -- the next ce_sequence towards each side, less one
    origin_sequence integer NOT NULL DEFAULT 0,
    destination_sequence integer NOT NULL DEFAULT 0,
    -- outbox id of the newest record for each side; delivered when it stands in neither table
    origin_outbox_id bigint,
    destination_outbox_id bigint,
    waiting integer NOT NULL DEFAULT 0,
    lane_runnable boolean NOT NULL DEFAULT false,
    accepted_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT orders_number UNIQUE (origin_id, destination_id, origin_number)
) WITH (toast_tuple_target = 8160);
CREATE UNIQUE INDEX orders_destination_number ON orders (origin_id, destination_id, destination_number)
    WHERE destination_number IS NOT NULL;
CREATE INDEX orders_received_number ON orders (destination_id, origin_number);
CREATE INDEX orders_given_number ON orders (destination_id, destination_number)
    WHERE destination_number IS NOT NULL;
CREATE INDEX orders_runnable ON orders (id) WHERE lane_runnable;
CREATE INDEX orders_unsynced ON orders (destination_id, accepted_at)
    WHERE delivery IN ('unsent', 'requested');

-- One row a command id: its fingerprint and its newest answer.
CREATE TABLE commands (
    tenant_id text NOT NULL,
    command_id text NOT NULL,
    fingerprint bytea NOT NULL,
    operation text NOT NULL,
    order_id text,
    outcome text NOT NULL DEFAULT 'accepted',
    http_status smallint,
    code text,
    body text,
    -- outbox ids of the newest answer, and of the waiting one if there was one
    result_id bigint,
    waiting_id bigint,
    accepted_at timestamptz NOT NULL DEFAULT now(),
    final_at timestamptz,
    PRIMARY KEY (tenant_id, command_id)
) PARTITION BY HASH (tenant_id, command_id);
-- Most answers stay in the row, uncompressed: compressing them costs more time than the rest of it.
CREATE TABLE commands_0 PARTITION OF commands FOR VALUES WITH (MODULUS 4, REMAINDER 0)
    WITH (toast_tuple_target = 8160);
CREATE TABLE commands_1 PARTITION OF commands FOR VALUES WITH (MODULUS 4, REMAINDER 1)
    WITH (toast_tuple_target = 8160);
CREATE TABLE commands_2 PARTITION OF commands FOR VALUES WITH (MODULUS 4, REMAINDER 2)
    WITH (toast_tuple_target = 8160);
CREATE TABLE commands_3 PARTITION OF commands FOR VALUES WITH (MODULUS 4, REMAINDER 3)
    WITH (toast_tuple_target = 8160);

-- Commands that cannot be done yet, as received. Either the lane of an order, or of a number nobody knows yet.
CREATE TABLE lane_commands (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id text,
    wait_tenant text,
    wait_number text,
    tenant_id text NOT NULL,
    command_id text NOT NULL,
    operation text NOT NULL,
    reason text NOT NULL,
    -- the record as received: see records.stored_record
    record bytea NOT NULL,
    arrived_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, command_id),
    CHECK ((order_id IS NULL) <> (wait_number IS NULL))
);
CREATE INDEX lane_commands_of_order ON lane_commands (order_id, id) WHERE order_id IS NOT NULL;
CREATE INDEX lane_commands_of_number ON lane_commands (wait_tenant, wait_number, id) WHERE wait_number IS NOT NULL;

-- Keys that nobody can map yet (X05). A closed gap keeps its row until everyone it held is woken.
CREATE TABLE gaps (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id text NOT NULL REFERENCES tenants (id),
    system text NOT NULL,
    entity text NOT NULL,
    key_kind text NOT NULL,
    key text NOT NULL,
    message text NOT NULL,
    candidates json NOT NULL DEFAULT '[]',
    -- the keys whose upsert may close it
    wake_on text[] NOT NULL,
    first_seen timestamptz NOT NULL DEFAULT now(),
    last_seen timestamptz NOT NULL DEFAULT now(),
    closed_at timestamptz
);
CREATE UNIQUE INDEX gaps_open ON gaps (tenant_id, system, entity, key_kind, key) WHERE closed_at IS NULL;
CREATE INDEX gaps_wake_on ON gaps USING gin (wake_on) WHERE closed_at IS NULL;
CREATE INDEX gaps_closed ON gaps (id) WHERE closed_at IS NOT NULL;

CREATE TABLE gap_waiters (
    gap_id bigint NOT NULL REFERENCES gaps (id) ON DELETE CASCADE,
    order_id text NOT NULL REFERENCES orders (id),
    PRIMARY KEY (gap_id, order_id)
);
CREATE INDEX gap_waiters_of_order ON gap_waiters (order_id);

CREATE TABLE log_entries (
    id text NOT NULL,
    tenant_id text NOT NULL,
    order_id text,
    command_id text NOT NULL,
    entry json NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
) PARTITION BY RANGE (created_at);
CREATE TABLE log_entries_default PARTITION OF log_entries DEFAULT;
CREATE INDEX log_entries_of_order ON log_entries (order_id, created_at) WHERE order_id IS NOT NULL;

CREATE TABLE order_events (
    order_id text NOT NULL,
    kind text NOT NULL,
    tenant_id text,
    command_id text,
    detail json NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
) PARTITION BY RANGE (created_at);
CREATE TABLE order_events_default PARTITION OF order_events DEFAULT;
CREATE INDEX order_events_of_order ON order_events (order_id, created_at);

-- Runnable work that nobody had flagged; must stay empty of new rows.
CREATE TABLE lane_repairs (
    order_id text NOT NULL,
    repaired_at timestamptz NOT NULL DEFAULT now()
);
