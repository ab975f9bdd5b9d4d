-- One session to export, if the caller may read it: how far it is, how many branches it has, the path
-- of the branch that is shown, and the number of partitions of the log. Always one row.
SELECT
    a.generation,
    s.seq,
    s.event_id,
    s.body,
    s.branches,
    (b.body::jsonb -> 'path')::text,
    (SELECT l.partitions FROM turnlog.log AS l)
FROM turnlog.active AS a
LEFT JOIN {g}.sessions AS s
    ON {seen}
    AND s.session_id = %(session_id)s
LEFT JOIN {g}.turns AS tip
    ON tip.tenant = %(tenant)s
    AND tip.session_id = s.session_id
    AND tip.turn_id = s.tip_turn_id
LEFT JOIN {g}.branches AS b
    ON b.tenant = %(tenant)s
    AND b.session_id = s.session_id
    AND b.branch_id = tip.branch_id
WHERE a.only_row
