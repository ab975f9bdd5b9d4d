DELETE FROM {g}.annotations
WHERE tenant = %(tenant)s AND session_id = %(session_id)s
    AND turn_id = %(turn_id)s
