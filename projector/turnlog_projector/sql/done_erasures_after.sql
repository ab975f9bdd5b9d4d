-- Erasures of a partition that Redis was cleaned of, in the order of their names.
SELECT partition, tenant, session_id, turn_id, events, seqs
FROM turnlog.erasures
WHERE partition = %(partition)s
    AND (tenant, session_id, turn_id) > (%(tenant)s, %(session_id)s, %(turn_id)s)
    AND redis_done_at IS NOT NULL
ORDER BY tenant, session_id, turn_id
LIMIT %(count)s
