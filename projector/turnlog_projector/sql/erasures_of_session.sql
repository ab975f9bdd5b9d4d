SELECT turn_id, seq
FROM turnlog.erasures
WHERE partition = %(partition)s AND tenant = %(tenant)s AND session_id = %(session_id)s
