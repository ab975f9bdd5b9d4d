DELETE FROM {g}.turns
WHERE tenant = %(tenant)s AND session_id = %(session_id)s
