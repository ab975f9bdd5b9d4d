-- A page of sessions, the newest first, and the key of its last row when there are more.
-- Somebody's own sessions and those shared with the tenant come from an index each.
SELECT
    a.generation,
    page.items,
    page.found > %(limit)s,
    to_char(page.updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    page.session_id
FROM turnlog.active AS a
CROSS JOIN LATERAL (
    SELECT
        convert_to(string_agg(body, ',') FILTER (WHERE place <= %(limit)s), 'UTF8') AS items,
        count(*) AS found,
        max(updated_at) FILTER (WHERE place = %(limit)s) AS updated_at,
        max(session_id) FILTER (WHERE place = %(limit)s) AS session_id
    FROM (
        SELECT
            body,
            updated_at,
            session_id,
            row_number() OVER (ORDER BY updated_at DESC, session_id DESC) AS place
        FROM (
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
        ) AS candidates
        ORDER BY updated_at DESC, session_id DESC
        LIMIT %(limit)s::bigint + 1
    ) AS numbered
) AS page
WHERE a.only_row
