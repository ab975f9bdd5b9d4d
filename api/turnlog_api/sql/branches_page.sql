-- Branches of a session whose first turn lies behind a seq, oldest first, and one more than asked
-- for, each with its first turn. The first columns are the same in every row; without a branch there
-- is one row. The branches of a session have no index in this order: they are few, and sorted.
SELECT
    a.generation,
    s.seq,
    s.event_id,
    tip.branch_id,
    s.tip_turn_id,
    page.first_seq,
    page.body,
    first_turn.body
FROM turnlog.active AS a
LEFT JOIN {g}.sessions AS s
    ON {seen}
    AND s.session_id = %(session_id)s
LEFT JOIN {g}.turns AS tip
    ON tip.tenant = %(tenant)s
    AND tip.session_id = s.session_id
    AND tip.turn_id = s.tip_turn_id
LEFT JOIN LATERAL (
    SELECT b.first_seq, b.body
    FROM {g}.branches AS b
    WHERE b.tenant = %(tenant)s
        AND b.session_id = s.session_id
        AND b.first_seq > %(after)s::bigint
    ORDER BY b.first_seq
    LIMIT %(limit)s::bigint + 1
) AS page
    ON true
LEFT JOIN LATERAL (
    SELECT t.body
    FROM {g}.turns AS t
    WHERE t.tenant = %(tenant)s
        AND t.session_id = %(session_id)s
        AND t.seq = page.first_seq
    LIMIT 1 -- looked up one by one: as a join all turns of the session would be read
) AS first_turn
    ON true
WHERE a.only_row
ORDER BY page.first_seq
