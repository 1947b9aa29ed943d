-- Pictures of bills of lading, and the orders that refer to them (R060, X09).

CREATE TABLE blobs (
    id text PRIMARY KEY,
    -- who stored it
    tenant_id text NOT NULL,
    media_type text NOT NULL,
    size integer NOT NULL,
    -- in lower-case hex
    sha256 text NOT NULL,
    content bytea NOT NULL,
    -- of an unlinked one: when it was stored or named last
    created_at timestamptz NOT NULL DEFAULT now(),
    -- whether an order refers to it; it is kept as long as its orders then
    linked boolean NOT NULL DEFAULT false
);
-- Pictures are compressed already, and are read piece by piece.
ALTER TABLE blobs ALTER COLUMN content SET STORAGE EXTERNAL;
ALTER TABLE blobs ALTER COLUMN content SET STATISTICS 0;
CREATE INDEX blobs_unlinked ON blobs (created_at) WHERE NOT linked;

CREATE TABLE blob_orders (
    blob_id text NOT NULL REFERENCES blobs (id),
    order_id text NOT NULL,
    PRIMARY KEY (blob_id, order_id)
);
