-- Everything parked or skipped, of one tenant or, when that is null, of all.
SELECT
    p.tenant, p.session_id, p.seq, p.event_id, p.state, p.error,
    to_char(p.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS at,
    CASE p.state WHEN 'parked' THEN greatest(h.seq - p.seq + 1, 0) ELSE 0 END AS waiting
FROM turnlog.parked AS p
LEFT JOIN turnlog.heads AS h USING (partition, tenant, session_id)
WHERE %(tenant)s::text IS NULL OR p.tenant = %(tenant)s
ORDER BY p.at DESC, p.tenant, p.session_id, p.seq
