-- The archived events of a session from a seq on, oldest first.
SELECT seq, event_id, recorded_at, bytes, repeat_of
FROM turnlog.archive
WHERE partition = %(partition)s AND tenant = %(tenant)s AND session_id = %(session_id)s
    AND seq >= %(first)s
ORDER BY seq
LIMIT %(count)s
