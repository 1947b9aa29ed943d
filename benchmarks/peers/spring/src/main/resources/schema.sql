CREATE TABLE IF NOT EXISTS benchmark_spring_orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    origin_number text NOT NULL UNIQUE,
    document jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS benchmark_spring_outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message_key text NOT NULL,
    payload bytea NOT NULL
);
