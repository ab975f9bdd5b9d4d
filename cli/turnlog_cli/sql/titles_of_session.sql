-- Titles of a session, up to an event.
SELECT t.body
FROM {g}.titles AS t
WHERE t.tenant = %(tenant)s
    AND t.session_id = %(session_id)s
    AND t.seq <= %(upto)s::bigint
ORDER BY t.seq
