-- The ids of a user's sessions that are not erased, deleted ones too, behind a session_id.
SELECT
    a.generation,
    s.session_id
FROM turnlog.active AS a
LEFT JOIN {g}.sessions AS s
    ON s.tenant = %(tenant)s
    AND s.user_id = %(owner)s
    AND s.session_id > %(after)s
    AND NOT s.erased
WHERE a.only_row
ORDER BY s.session_id
LIMIT %(limit)s
