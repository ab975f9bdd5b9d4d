UPDATE turnlog.erasures SET redis_done_at = NULL, files_done_at = NULL
WHERE partition = %(partition)s AND tenant = %(tenant)s AND session_id = %(session_id)s
