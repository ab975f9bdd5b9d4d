DELETE FROM {g}.search
WHERE tenant = %(tenant)s AND session_id = %(session_id)s
