-- A page of the turns of a session that has one branch. Always one row; `branches` above 1 means:
-- ask turns_page_branch.sql, nothing was read.
SELECT
    a.generation,
    s.seq,
    s.event_id,
    s.branches,
    s.turn_count,
    page.items,
    page.found > %(limit)s,
    page.last_seq
FROM turnlog.active AS a
LEFT JOIN {g}.sessions AS s
    ON {seen}
    AND s.session_id = %(session_id)s
LEFT JOIN LATERAL (
    SELECT
        convert_to(string_agg(body, ',') FILTER (WHERE place <= %(limit)s), 'UTF8') AS items,
        count(*) AS found,
        max(seq) FILTER (WHERE place = %(limit)s) AS last_seq
    FROM (
        SELECT
            t.body,
            t.seq,
            row_number() OVER (ORDER BY t.seq) AS place --? asc
            row_number() OVER (ORDER BY t.seq DESC) AS place --? desc
        FROM {g}.turns AS t
        WHERE t.tenant = %(tenant)s
            AND t.session_id = %(session_id)s
            AND t.seq > greatest(s.floor, %(after)s::bigint)
            AND t.seq < %(before)s::bigint
            AND t.status <> 'retracted' --? visible
        ORDER BY t.seq --? asc
        ORDER BY t.seq DESC --? desc
        LIMIT %(limit)s::bigint + 1
    ) AS found
) AS page
    ON s.branches <= 1
WHERE a.only_row
