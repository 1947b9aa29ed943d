-- Few changes are of a rare type: looking for them alone must not read all there ever were (X02).
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX order_changes_types ON order_changes USING gin (change_types);
