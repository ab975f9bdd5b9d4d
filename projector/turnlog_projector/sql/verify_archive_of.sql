-- All events of some sessions of a partition, one array each of tenant and session_id, session by
-- session. Bytes of a large event are null: many rows are fetched at once.
SELECT
    a.tenant, a.session_id, a.seq, a.event_id, a.recorded_at,
    CASE WHEN octet_length(a.bytes) <= %(large)s THEN a.bytes END,
    a.repeat_of, a.pos, a.hash
FROM unnest(%(tenants)s::text[], %(sessions)s::text[]) AS key (tenant, session_id)
JOIN turnlog.archive AS a
    ON a.partition = %(partition)s AND a.tenant = key.tenant AND a.session_id = key.session_id
ORDER BY a.tenant, a.session_id, a.seq
