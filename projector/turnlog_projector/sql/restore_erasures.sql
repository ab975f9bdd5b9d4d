-- An erasure of a restored log. Its Redis and its files have never held the text.
INSERT INTO turnlog.erasures (
    partition, tenant, session_id, turn_id, seq, at, events, seqs, redis_done_at, files_done_at
)
SELECT %(partition)s, tenant, session_id, turn_id, seq, at, events, seqs, now(), now()
FROM jsonb_to_record(%(row)s) AS row (
    tenant text, session_id text, turn_id text, seq bigint, at timestamptz, events bigint,
    seqs bigint[]
)
