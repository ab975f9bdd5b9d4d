-- Titles of a session behind a seq, oldest first, and one more than asked for, with the one before
-- them. The first columns are the same in every row; without a title there is one row.
SELECT
    a.generation,
    s.seq,
    s.event_id,
    former.body,
    page.seq,
    page.body
FROM turnlog.active AS a
LEFT JOIN {g}.sessions AS s
    ON {seen}
    AND s.session_id = %(session_id)s
LEFT JOIN LATERAL (
    SELECT t.body
    FROM {g}.titles AS t
    WHERE t.tenant = %(tenant)s
        AND t.session_id = s.session_id
        AND t.seq <= %(after)s::bigint
    ORDER BY t.seq DESC
    LIMIT 1
) AS former
    ON true
LEFT JOIN LATERAL (
    SELECT t.seq, t.body
    FROM {g}.titles AS t
    WHERE t.tenant = %(tenant)s
        AND t.session_id = s.session_id
        AND t.seq > %(after)s::bigint
    ORDER BY t.seq
    LIMIT %(limit)s::bigint + 1
) AS page
    ON true
WHERE a.only_row
ORDER BY page.seq
