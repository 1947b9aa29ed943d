-- What is counted and leaves no row of its own: answers to further copies, dead letters.

-- One row a service, kind and reason: few processes write the same row, once a batch.
CREATE TABLE tallies (
    service text NOT NULL,
    kind text NOT NULL,
    reason text NOT NULL,
    n bigint NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (service, kind, reason)
) WITH (fillfactor = 50);
