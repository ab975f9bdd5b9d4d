-- Events of a partition, session by session, up to a place in the archive; some sessions left out.
SELECT tenant, session_id, seq, event_id, recorded_at, bytes, repeat_of
FROM turnlog.archive
WHERE partition = %(partition)s AND pos <= %(pos)s
    AND (tenant, session_id) NOT IN (
        SELECT * FROM unnest(%(tenants)s::text[], %(sessions)s::text[])
    )
ORDER BY tenant, session_id, seq
