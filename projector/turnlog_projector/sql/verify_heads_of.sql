-- How far some sessions of a partition are archived: one array each of tenant and session_id.
SELECT h.tenant, h.session_id, h.seq, h.event_id, h.recorded_at, h.parked_seq
FROM unnest(%(tenants)s::text[], %(sessions)s::text[]) AS key (tenant, session_id)
JOIN turnlog.heads AS h
    ON h.partition = %(partition)s AND h.tenant = key.tenant AND h.session_id = key.session_id
ORDER BY h.tenant, h.session_id
