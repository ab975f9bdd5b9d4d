-- The turns of a session that is erased whole need no row of their own any more.
DELETE FROM turnlog.erasures
WHERE partition = %(partition)s AND tenant = %(tenant)s AND session_id = %(session_id)s
    AND turn_id <> ''
