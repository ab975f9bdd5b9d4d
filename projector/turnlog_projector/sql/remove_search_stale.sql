DELETE FROM turnlog.search_stale
WHERE generation = %(generation)s AND partition = %(partition)s
    AND tenant = %(tenant)s AND session_id = %(session_id)s
