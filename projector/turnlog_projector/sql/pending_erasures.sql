-- Erasures whose text may still be in Redis, the oldest first.
SELECT partition, tenant, session_id, turn_id, events, seqs
FROM turnlog.erasures
WHERE partition = ANY (%(partitions)s) AND redis_done_at IS NULL
ORDER BY at
LIMIT %(count)s
