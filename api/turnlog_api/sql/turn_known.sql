-- Whether a session has a turn, as far as the session is projected.
SELECT
    a.generation,
    s.seq,
    t.status
FROM turnlog.active AS a
LEFT JOIN {g}.sessions AS s
    ON {seen}
    AND s.session_id = %(session_id)s
LEFT JOIN {g}.turns AS t
    ON t.tenant = s.tenant
    AND t.session_id = s.session_id
    AND t.turn_id = %(turn_id)s
WHERE a.only_row
