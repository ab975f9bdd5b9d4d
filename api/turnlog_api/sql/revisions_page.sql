-- Revisions of a turn behind a seq, oldest first, and one more than asked for. The first columns are
-- the same in every row; without a revision there is one row.
SELECT
    a.generation,
    s.seq,
    s.event_id,
    t.turn_id,
    page.seq,
    page.body
FROM turnlog.active AS a
LEFT JOIN {g}.sessions AS s
    ON {seen}
    AND s.session_id = %(session_id)s
LEFT JOIN {g}.turns AS t
    ON t.tenant = %(tenant)s
    AND t.session_id = s.session_id
    AND t.turn_id = %(turn_id)s
LEFT JOIN LATERAL (
    SELECT r.seq, r.body
    FROM {g}.turn_revisions AS r
    WHERE r.tenant = %(tenant)s
        AND r.session_id = s.session_id
        AND r.turn_id = %(turn_id)s
        AND r.seq > %(after)s::bigint
    ORDER BY r.seq
    LIMIT %(limit)s::bigint + 1
) AS page
    ON true
WHERE a.only_row
ORDER BY page.seq
