-- The sessions of a partition behind one of them, how far they are archived, and where they are
-- parked.
SELECT tenant, session_id, seq, event_id, recorded_at, parked_seq
FROM turnlog.heads
WHERE partition = %(partition)s AND (tenant, session_id) > (%(tenant)s, %(session_id)s)
ORDER BY tenant, session_id
LIMIT %(count)s
