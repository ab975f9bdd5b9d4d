UPDATE turnlog.search_stale SET done = %(done)s
WHERE generation = %(generation)s AND partition = %(partition)s
    AND tenant = %(tenant)s AND session_id = %(session_id)s
