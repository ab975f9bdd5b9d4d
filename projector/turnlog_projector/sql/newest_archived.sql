-- Newest first.
SELECT seq, event_id, recorded_at, bytes
FROM turnlog.archive
WHERE partition = %(partition)s AND tenant = %(tenant)s AND session_id = %(session_id)s
    AND seq <= %(upto)s
ORDER BY seq DESC
LIMIT %(count)s
