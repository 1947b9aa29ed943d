-- What a row costs that nobody needs.

-- Tenants are never deleted, and orders are written by the pipeline alone, which has just read both
-- of theirs: looking them up again, under a lock on the tenant's row, is a tenth of storing an order.
-- squawk-ignore ban-drop-constraint
ALTER TABLE orders DROP CONSTRAINT orders_origin_id_fkey;
-- squawk-ignore ban-drop-constraint
ALTER TABLE orders DROP CONSTRAINT orders_destination_id_fkey;

-- Nothing is ever searched within these; sampling them is most of what ANALYZE costs.
ALTER TABLE orders ALTER COLUMN origin_document SET STATISTICS 0;
ALTER TABLE orders ALTER COLUMN master_document SET STATISTICS 0;
ALTER TABLE orders ALTER COLUMN destination_document SET STATISTICS 0;
ALTER TABLE commands ALTER COLUMN body SET STATISTICS 0;
ALTER TABLE commands ALTER COLUMN fingerprint SET STATISTICS 0;
ALTER TABLE log_entries ALTER COLUMN entry SET STATISTICS 0;
ALTER TABLE order_events ALTER COLUMN detail SET STATISTICS 0;
ALTER TABLE outbox ALTER COLUMN value SET STATISTICS 0;
ALTER TABLE outbox ALTER COLUMN headers SET STATISTICS 0;

-- Vacuum after insertions alone only sets hints, page by page, and with checksums each page goes into
-- the log whole: a quarter of what the rows themselves write. Updates and deletions still bring it,
-- and so does the age of the rows.
ALTER TABLE orders SET (autovacuum_vacuum_insert_threshold = -1);
ALTER TABLE commands_0 SET (autovacuum_vacuum_insert_threshold = -1);
ALTER TABLE commands_1 SET (autovacuum_vacuum_insert_threshold = -1);
ALTER TABLE commands_2 SET (autovacuum_vacuum_insert_threshold = -1);
ALTER TABLE commands_3 SET (autovacuum_vacuum_insert_threshold = -1);

-- The relay derives it. No release came before this one.
-- squawk-ignore ban-drop-column
ALTER TABLE outbox DROP COLUMN waiting_id;
-- squawk-ignore ban-drop-column
ALTER TABLE outbox_parked DROP COLUMN waiting_id;
