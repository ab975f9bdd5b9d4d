-- Events of one session from a seq on, up to a place in the archive.
SELECT seq, event_id, recorded_at, bytes, repeat_of
FROM turnlog.archive
WHERE partition = %(partition)s AND tenant = %(tenant)s AND session_id = %(session_id)s
    AND seq >= %(first)s AND pos <= %(pos)s
ORDER BY seq
LIMIT %(count)s
