-- Who may ask over HTTP: credentials, the tenants they act for, and the key that signs tokens.

-- The secrets are random (32 bytes), so one round of SHA-256 keeps them; a slow hash protects
-- passwords that people choose, and would cost every request.
CREATE TABLE credentials (
    client_id text PRIMARY KEY,
    secret_hash bytea NOT NULL,
    api_key_hash bytea NOT NULL UNIQUE,
    scopes text[] NOT NULL,
    -- sends reference data as the operator
    operator boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);

CREATE TABLE credential_tenants (
    client_id text NOT NULL REFERENCES credentials (client_id) ON DELETE CASCADE,
    tenant_id text NOT NULL REFERENCES tenants (id),
    PRIMARY KEY (client_id, tenant_id)
);

-- One key, made here, so that every gateway signs and checks alike and none has to write.
CREATE TABLE token_key (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    secret bytea NOT NULL CHECK (octet_length(secret) >= 32)
);
INSERT INTO token_key (secret)
SELECT decode(replace(concat(gen_random_uuid(), gen_random_uuid(), gen_random_uuid()), '-', ''), 'hex');
