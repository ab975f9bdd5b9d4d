-- A page of the turns of a session that has one branch, and one turn more. The first columns are the
-- same in every row; without a turn there is one row. `branches` above 1 means: nothing was read, ask
-- turns_page_branch.sql.
SELECT
    a.generation,
    s.seq,
    s.event_id,
    s.branches,
    s.turn_count,
    page.seq,
    page.body
FROM turnlog.active AS a
LEFT JOIN {g}.sessions AS s
    ON {seen}
    AND s.session_id = %(session_id)s
LEFT JOIN LATERAL (
    SELECT t.seq, t.body
    FROM {g}.turns AS t
    WHERE t.tenant = %(tenant)s
        AND t.session_id = %(session_id)s
        AND t.seq > greatest(s.floor, %(after)s::bigint)
        AND t.seq < %(before)s::bigint
        AND t.status <> 'retracted' --? visible
    ORDER BY t.seq --? asc
    ORDER BY t.seq DESC --? desc
    LIMIT %(limit)s::bigint + 1
) AS page
    ON s.branches <= 1
WHERE a.only_row
