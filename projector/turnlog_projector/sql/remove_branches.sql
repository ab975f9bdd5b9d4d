DELETE FROM {g}.branches
WHERE tenant = %(tenant)s AND session_id = %(session_id)s
