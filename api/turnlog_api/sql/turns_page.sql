-- A page of the turns of a session that has one branch. Always one row; `branches` above 1 means:
-- nothing was read, ask turns_page_branch.sql.
SELECT
    a.generation,
    s.seq,
    s.event_id,
    s.branches,
    s.turn_count,
    page.items,
    page.last_seq,
    EXISTS (
        SELECT FROM {g}.turns AS t
        WHERE t.tenant = %(tenant)s
            AND t.session_id = %(session_id)s
            AND t.seq > page.last_seq AND t.seq < %(before)s::bigint --? asc
            AND t.seq < page.last_seq AND t.seq > greatest(s.floor, %(after)s::bigint) --? desc
            AND t.status <> 'retracted' --? visible
    )
FROM turnlog.active AS a
LEFT JOIN {g}.sessions AS s
    ON {seen}
    AND s.session_id = %(session_id)s
LEFT JOIN LATERAL (
    -- In the order of the subquery: sorting within the aggregate costs as much as all the rest.
    SELECT
        string_agg(body, ',') AS items,
        max(seq) AS last_seq --? asc
        min(seq) AS last_seq --? desc
    FROM (
        SELECT t.seq, t.body
        FROM {g}.turns AS t
        WHERE t.tenant = %(tenant)s
            AND t.session_id = %(session_id)s
            AND t.seq > greatest(s.floor, %(after)s::bigint)
            AND t.seq < %(before)s::bigint
            AND t.status <> 'retracted' --? visible
        ORDER BY t.seq --? asc
        ORDER BY t.seq DESC --? desc
        LIMIT %(limit)s::bigint
    ) AS found
) AS page
    ON s.branches <= 1
WHERE a.only_row
