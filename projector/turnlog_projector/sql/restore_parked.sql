-- A parked or skipped event of a restored log.
INSERT INTO turnlog.parked (tenant, session_id, seq, event_id, partition, state, error, at)
SELECT tenant, session_id, seq, event_id, %(partition)s, state, error, at
FROM jsonb_to_record(%(row)s) AS row (
    tenant text, session_id text, seq bigint, event_id text, state text, error text, at timestamptz
)
