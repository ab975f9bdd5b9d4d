INSERT INTO turnlog.search_stale (generation, partition, tenant, session_id)
SELECT generation, %(partition)s, %(tenant)s, %(session_id)s
FROM turnlog.search_offsets
WHERE generation = %(generation)s AND partition = %(partition)s
ON CONFLICT (generation, partition, tenant, session_id) DO UPDATE SET done = 0
