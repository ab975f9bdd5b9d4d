-- A page of the turns of one branch, the shown one or the one that is named, and one turn more. The
-- first columns are the same in every row; without a turn there is one row.
-- A history is a few ranges of seq, one a branch of its path; each is read by the primary key.
SELECT
    a.generation,
    s.seq,
    s.event_id,
    b.branch_id,
    totals.total_count,
    page.seq,
    page.body
FROM turnlog.active AS a
LEFT JOIN {g}.sessions AS s
    ON {seen}
    AND s.session_id = %(session_id)s
LEFT JOIN {g}.turns AS tip --? shown
    ON tip.tenant = %(tenant)s --? shown
    AND tip.session_id = s.session_id --? shown
    AND tip.turn_id = s.tip_turn_id --? shown
LEFT JOIN {g}.branches AS b
    ON b.tenant = %(tenant)s
    AND b.session_id = s.session_id
    AND b.branch_id = tip.branch_id --? shown
    AND b.branch_id = %(branch)s --? branch
LEFT JOIN LATERAL (
    SELECT count(*) AS total_count
    FROM jsonb_array_elements(b.body::jsonb -> 'path') AS step
    JOIN {g}.branches AS p
        ON p.tenant = %(tenant)s
        AND p.session_id = %(session_id)s
        AND p.branch_id = step ->> 0
    JOIN {g}.turns AS t
        ON t.tenant = %(tenant)s
        AND t.session_id = %(session_id)s
        AND t.seq > greatest(s.floor, p.first_seq - 1)
        AND t.seq <= (step ->> 1)::bigint
        AND t.branch_id = step ->> 0
        AND t.status <> 'retracted'
) AS totals
    ON b.branch_id IS NOT NULL
LEFT JOIN LATERAL (
    SELECT t.seq, t.body
    FROM jsonb_array_elements(b.body::jsonb -> 'path') AS step
    JOIN {g}.branches AS p
        ON p.tenant = %(tenant)s
        AND p.session_id = %(session_id)s
        AND p.branch_id = step ->> 0
    CROSS JOIN LATERAL (
        SELECT t.seq, t.body
        FROM {g}.turns AS t
        WHERE t.tenant = %(tenant)s
            AND t.session_id = %(session_id)s
            AND t.seq > greatest(s.floor, %(after)s::bigint, p.first_seq - 1)
            AND t.seq < least(%(before)s::bigint, (step ->> 1)::bigint + 1)
            AND t.branch_id = step ->> 0
            AND t.status <> 'retracted' --? visible
        ORDER BY t.seq --? asc
        ORDER BY t.seq DESC --? desc
        LIMIT %(limit)s::bigint + 1
    ) AS t
    ORDER BY t.seq --? asc
    ORDER BY t.seq DESC --? desc
    LIMIT %(limit)s::bigint + 1
) AS page
    ON b.branch_id IS NOT NULL
WHERE a.only_row
