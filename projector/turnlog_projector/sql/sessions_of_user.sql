-- The ids of a user's sessions that are not erased, deleted ones too, behind a session_id.
SELECT session_id
FROM {g}.sessions
WHERE tenant = %(tenant)s AND user_id = %(user)s AND session_id > %(after)s AND NOT erased
ORDER BY session_id
LIMIT %(count)s
