-- What is forgotten after its time, and what stays of it in the books.

-- Commands by operation and outcome that were forgotten: `audit` adds them to those remembered.
CREATE TABLE commands_forgotten (
    operation text NOT NULL,
    outcome text NOT NULL,
    n bigint NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (operation, outcome)
) WITH (fillfactor = 50);

-- By a moment that never changes, so that the newer answer of a command that waited stays a HOT
-- update. Not concurrently: that cannot be for a partitioned table, and no release came before.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX commands_by_age ON commands (accepted_at);

-- Few rows, each updated by every batch: pages are cleaned by the updates themselves, and the
-- vacuum comes by number of rows, without pauses.
ALTER TABLE stream_positions SET (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_cost_delay = 0
);
