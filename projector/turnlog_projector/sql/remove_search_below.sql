-- Of a session, the turns that are not shown any more because it was cleared.
DELETE FROM {g}.search
WHERE tenant = %(tenant)s AND session_id = %(session_id)s AND seq BETWEEN 1 AND %(floor)s
