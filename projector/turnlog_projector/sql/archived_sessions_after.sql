SELECT tenant, session_id
FROM turnlog.heads
WHERE partition = %(partition)s AND (tenant, session_id) > (%(tenant)s, %(session_id)s)
ORDER BY tenant, session_id
LIMIT %(count)s
