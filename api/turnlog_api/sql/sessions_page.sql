-- A page of sessions and one more, the newest first; one row without a session when there is none.
-- Somebody's own sessions and those shared with the tenant come from an index each.
SELECT
    a.generation,
    page.updated_at,
    page.session_id,
    page.body
FROM turnlog.active AS a
LEFT JOIN LATERAL (
    (
        SELECT s.body, s.updated_at, s.session_id
        FROM {g}.sessions AS s
        WHERE {session_filters}
            AND s.user_id = %(user)s --? own_and_shared
        ORDER BY s.updated_at DESC, s.session_id DESC
        LIMIT %(limit)s::bigint + 1
    )
    UNION ALL --? own_and_shared
    ( --? own_and_shared
        SELECT s.body, s.updated_at, s.session_id --? own_and_shared
        FROM {g}.sessions AS s --? own_and_shared
        WHERE {session_filters} --? own_and_shared
            AND s.visibility = 'tenant' --? own_and_shared
            AND s.user_id IS DISTINCT FROM %(user)s --? own_and_shared
        ORDER BY s.updated_at DESC, s.session_id DESC --? own_and_shared
        LIMIT %(limit)s::bigint + 1 --? own_and_shared
    ) --? own_and_shared
) AS page
    ON true
WHERE a.only_row
ORDER BY page.updated_at DESC, page.session_id DESC
LIMIT %(limit)s::bigint + 1
