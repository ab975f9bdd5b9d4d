-- The next sessions to export, the newest first, as sessions_page.sql has them; one row without a
-- session when there is none.
SELECT
    a.generation,
    page.updated_at,
    page.session_id,
    page.seq,
    page.branches,
    page.body,
    (SELECT l.partitions FROM turnlog.log AS l)
FROM turnlog.active AS a
LEFT JOIN LATERAL (
    (
        SELECT s.body, s.updated_at, s.session_id, s.seq, s.branches
        FROM {g}.sessions AS s
        WHERE {session_filters}
            AND s.user_id = %(user)s --? own_and_shared
        ORDER BY s.updated_at DESC, s.session_id DESC
        LIMIT %(limit)s::bigint
    )
    UNION ALL --? own_and_shared
    ( --? own_and_shared
        SELECT s.body, s.updated_at, s.session_id, s.seq, s.branches --? own_and_shared
        FROM {g}.sessions AS s --? own_and_shared
        WHERE {session_filters} --? own_and_shared
            AND s.visibility = 'tenant' --? own_and_shared
            AND s.user_id IS DISTINCT FROM %(user)s --? own_and_shared
        ORDER BY s.updated_at DESC, s.session_id DESC --? own_and_shared
        LIMIT %(limit)s::bigint --? own_and_shared
    ) --? own_and_shared
) AS page
    ON true
WHERE a.only_row
ORDER BY page.updated_at DESC, page.session_id DESC
LIMIT %(limit)s::bigint
