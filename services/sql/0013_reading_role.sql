-- The role the gateway reads under: of what belongs to tenants it sees the rows of those that the
-- setting crossroads.tenants names, and none without it (guarantee 6, docs/decisions/0019). The
-- owner of the tables, which the other services are, is not bound by it.

-- A role belongs to the whole server: another hub's database there may have made it already.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'crossroads_reader') THEN
        CREATE ROLE crossroads_reader NOLOGIN;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN
        NULL;
    WHEN insufficient_privilege THEN
        RAISE EXCEPTION 'the role crossroads_reader is missing, and may not be made from here'
            USING HINT = 'As a superuser: CREATE ROLE crossroads_reader NOLOGIN; '
                         'GRANT crossroads_reader TO <owner> WITH ADMIN TRUE, INHERIT FALSE, SET TRUE;';
END
$$;
DO $$
BEGIN
    -- Who owns the tables may put the role on, and has nothing of it otherwise.
    IF NOT pg_has_role(current_user, 'crossroads_reader', 'SET') THEN
        GRANT crossroads_reader TO CURRENT_USER WITH INHERIT FALSE, SET TRUE;
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO crossroads_reader', current_schema());
END
$$;

-- Tenant ids with commas between; '*' stands for an operator, who reads all reference data.
CREATE FUNCTION reader_tenants() RETURNS text[]
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN string_to_array(current_setting('crossroads.tenants', true), ',');

-- What everybody may know: master records; and of records on their way, whether they are there.
GRANT SELECT ON master_records TO crossroads_reader;
GRANT SELECT (id) ON outbox, outbox_parked TO crossroads_reader;

-- `(SELECT reader_tenants())` is asked once for a statement, not once for a row.
GRANT SELECT ON tenants, pairs, mappings TO crossroads_reader;
ALTER TABLE pairs ENABLE ROW LEVEL SECURITY;
CREATE POLICY reader ON pairs FOR SELECT TO crossroads_reader USING (
    origin_id = ANY ((SELECT reader_tenants())::text[])
    OR destination_id = ANY ((SELECT reader_tenants())::text[])
    OR '*' = ANY ((SELECT reader_tenants())::text[])
);
ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;
-- Themselves and their partners: the policy of pairs holds in here, too.
CREATE POLICY reader ON tenants FOR SELECT TO crossroads_reader USING (
    id = ANY ((SELECT reader_tenants())::text[])
    OR EXISTS (SELECT FROM pairs AS p WHERE p.origin_id = tenants.id)
    OR EXISTS (SELECT FROM pairs AS p WHERE p.destination_id = tenants.id)
    OR '*' = ANY ((SELECT reader_tenants())::text[])
);
ALTER TABLE mappings ENABLE ROW LEVEL SECURITY;
CREATE POLICY reader ON mappings FOR SELECT TO crossroads_reader USING (
    tenant_id = ANY ((SELECT reader_tenants())::text[])
    OR '*' = ANY ((SELECT reader_tenants())::text[])
);

GRANT SELECT ON orders TO crossroads_reader;
ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY reader ON orders FOR SELECT TO crossroads_reader USING (
    origin_id = ANY ((SELECT reader_tenants())::text[])
    OR destination_id = ANY ((SELECT reader_tenants())::text[])
);
GRANT SELECT ON order_changes TO crossroads_reader;
ALTER TABLE order_changes ENABLE ROW LEVEL SECURITY;
CREATE POLICY reader ON order_changes FOR SELECT TO crossroads_reader USING (
    origin_id = ANY ((SELECT reader_tenants())::text[])
    OR destination_id = ANY ((SELECT reader_tenants())::text[])
);

-- What follows an order is seen with it.
GRANT SELECT ON order_events, gap_waiters, blob_orders TO crossroads_reader;
ALTER TABLE order_events ENABLE ROW LEVEL SECURITY;
CREATE POLICY reader ON order_events FOR SELECT TO crossroads_reader USING (
    EXISTS (SELECT FROM orders AS o WHERE o.id = order_events.order_id)
);
ALTER TABLE gap_waiters ENABLE ROW LEVEL SECURITY;
CREATE POLICY reader ON gap_waiters FOR SELECT TO crossroads_reader USING (
    EXISTS (SELECT FROM orders AS o WHERE o.id = gap_waiters.order_id)
);
ALTER TABLE blob_orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY reader ON blob_orders FOR SELECT TO crossroads_reader USING (
    EXISTS (SELECT FROM orders AS o WHERE o.id = blob_orders.order_id)
);
GRANT SELECT ON blobs TO crossroads_reader;
ALTER TABLE blobs ENABLE ROW LEVEL SECURITY;
CREATE POLICY reader ON blobs FOR SELECT TO crossroads_reader USING (
    tenant_id = ANY ((SELECT reader_tenants())::text[])
    OR EXISTS (SELECT FROM blob_orders AS r WHERE r.blob_id = blobs.id)
);

-- What one tenant said and was told is its own. Bodies of answers and records as received are read
-- by nobody here.
GRANT SELECT ON log_entries, gaps TO crossroads_reader;
GRANT SELECT (tenant_id, command_id, operation, order_id, outcome, code, accepted_at, final_at)
    ON commands TO crossroads_reader;
GRANT SELECT (id, order_id, tenant_id, command_id, operation, reason, arrived_at)
    ON lane_commands TO crossroads_reader;
ALTER TABLE log_entries ENABLE ROW LEVEL SECURITY;
CREATE POLICY reader ON log_entries FOR SELECT TO crossroads_reader USING (
    tenant_id = ANY ((SELECT reader_tenants())::text[])
);
ALTER TABLE gaps ENABLE ROW LEVEL SECURITY;
CREATE POLICY reader ON gaps FOR SELECT TO crossroads_reader USING (
    tenant_id = ANY ((SELECT reader_tenants())::text[])
);
ALTER TABLE commands ENABLE ROW LEVEL SECURITY;
CREATE POLICY reader ON commands FOR SELECT TO crossroads_reader USING (
    tenant_id = ANY ((SELECT reader_tenants())::text[])
);
ALTER TABLE lane_commands ENABLE ROW LEVEL SECURITY;
CREATE POLICY reader ON lane_commands FOR SELECT TO crossroads_reader USING (
    tenant_id = ANY ((SELECT reader_tenants())::text[])
);
