SELECT seq, event_id, recorded_at
FROM turnlog.archive
WHERE partition = %(partition)s AND tenant = %(tenant)s AND session_id = %(session_id)s
    AND seq BETWEEN %(first)s AND %(last)s
