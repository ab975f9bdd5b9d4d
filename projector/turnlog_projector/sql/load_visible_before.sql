-- The newest turns that are not retracted, between floor and seq; those whose ids are given are left
-- out, because the batch in hand knows them better.
SELECT body FROM {g}.turns
WHERE tenant = %(tenant)s AND session_id = %(session_id)s
    AND seq > %(floor)s AND seq < %(seq)s
    AND status <> 'retracted'
    AND turn_id <> ALL (%(known)s::text[])
ORDER BY seq DESC
LIMIT 1
