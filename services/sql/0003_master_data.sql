-- Who takes part, and what their identifiers mean: tenants, pairs, master records, mappings.

CREATE TABLE tenants (
    id text PRIMARY KEY,
    slug text NOT NULL UNIQUE,
    name text NOT NULL UNIQUE,
    active boolean NOT NULL DEFAULT true,
    partitions integer NOT NULL DEFAULT 3,
    -- [{id, name, primary, instances: [{id, name}]}]
    systems json NOT NULL DEFAULT '[]',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE pairs (
    id text PRIMARY KEY,
    origin_id text NOT NULL REFERENCES tenants (id),
    destination_id text NOT NULL REFERENCES tenants (id),
    acceptance text NOT NULL DEFAULT 'auto',
    origin_updates text NOT NULL DEFAULT 'apply',
    destination_updates text NOT NULL DEFAULT 'propose',
    destination_system text,
    destination_instance text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (origin_id, destination_id)
);

CREATE TABLE master_records (
    goid text PRIMARY KEY,
    entity text NOT NULL,
    name text NOT NULL,
    active boolean NOT NULL DEFAULT true,
    -- a site: [{goid, number, product, name}]
    tanks json NOT NULL DEFAULT '[]',
    -- a blend: [{product, ratio}]
    components json NOT NULL DEFAULT '[]',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE mappings (
    id text PRIMARY KEY,
    tenant_id text NOT NULL REFERENCES tenants (id),
    system text NOT NULL,
    entity text NOT NULL,
    source_id text NOT NULL,
    source_name text NOT NULL,
    goid text NOT NULL,
    is_primary boolean NOT NULL DEFAULT false,
    -- a site: [{tank_id, product_source_id, tank_goid}]
    tanks json NOT NULL DEFAULT '[]',
    -- the oldest of several wins where none is primary
    age bigint GENERATED ALWAYS AS IDENTITY,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, system, entity, source_id)
);
CREATE INDEX mappings_by_name ON mappings (tenant_id, system, entity, source_name);
CREATE INDEX mappings_by_goid ON mappings (tenant_id, system, goid);

-- Upserts whose parent is missing, as received; at most one a key, for a newer one replaces it.
CREATE TABLE reference_waiting (
    tenant_id text NOT NULL,
    command_id text NOT NULL,
    entity_key text NOT NULL UNIQUE,
    wake_on text[] NOT NULL,
    runnable boolean NOT NULL DEFAULT false,
    record bytea NOT NULL,
    arrived_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, command_id)
);
CREATE INDEX reference_waiting_wake_on ON reference_waiting USING gin (wake_on);
CREATE INDEX reference_waiting_runnable ON reference_waiting (arrived_at) WHERE runnable;
