DELETE FROM {g}.sessions
WHERE tenant = %(tenant)s AND session_id = %(session_id)s
