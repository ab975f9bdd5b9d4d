-- Events of a partition, session by session, up to a place in the archive and a time of recording
-- (null: none); some sessions left out. Bytes of a large event are null: many rows are fetched at once.
SELECT tenant, session_id, seq, event_id, recorded_at,
    CASE WHEN octet_length(bytes) <= %(large)s THEN bytes END,
    repeat_of, hash
FROM turnlog.archive
WHERE partition = %(partition)s AND pos <= %(pos)s
    AND (%(until)s::bigint IS NULL OR recorded_at <= %(until)s::bigint)
    AND (tenant, session_id) NOT IN (
        SELECT * FROM unnest(%(tenants)s::text[], %(sessions)s::text[])
    )
ORDER BY tenant, session_id, seq
