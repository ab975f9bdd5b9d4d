-- One session, if the caller may read it. Always one row.
SELECT
    a.generation,
    s.seq,
    s.event_id,
    s.body
FROM turnlog.active AS a
LEFT JOIN {g}.sessions AS s
    ON {seen}
    AND s.session_id = %(session_id)s
WHERE a.only_row
