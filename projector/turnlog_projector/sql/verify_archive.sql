-- All events of a partition behind one session, up to and with another one if it is given, session
-- by session. Bytes of a large event are null: many rows are fetched at once.
SELECT tenant, session_id, seq, event_id, recorded_at,
    CASE WHEN octet_length(bytes) <= %(large)s THEN bytes END,
    repeat_of, pos, hash
FROM turnlog.archive
WHERE partition = %(partition)s AND (tenant, session_id) > (%(tenant)s, %(session_id)s)
    AND (
        %(last_tenant)s::text IS NULL
        OR (tenant, session_id) <= (%(last_tenant)s::text, %(last_session)s::text)
    )
ORDER BY tenant, session_id, seq
