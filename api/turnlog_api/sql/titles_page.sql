-- Titles of a session behind a seq, oldest first, one more than asked for, and the one before them.
-- Without a title there is one row.
SELECT
    a.generation,
    s.seq,
    s.event_id,
    page.seq,
    page.body
FROM turnlog.active AS a
LEFT JOIN {g}.sessions AS s
    ON {seen}
    AND s.session_id = %(session_id)s
LEFT JOIN LATERAL (
    SELECT t.seq, t.body
    FROM {g}.titles AS t
    WHERE t.tenant = %(tenant)s
        AND t.session_id = s.session_id
        AND t.seq >= coalesce(
            (
                SELECT max(p.seq)
                FROM {g}.titles AS p
                WHERE p.tenant = %(tenant)s
                    AND p.session_id = %(session_id)s
                    AND p.seq <= %(after)s::bigint
            ),
            0
        )
    ORDER BY t.seq
    LIMIT %(limit)s::bigint + 2
) AS page
    ON true
WHERE a.only_row
ORDER BY page.seq
