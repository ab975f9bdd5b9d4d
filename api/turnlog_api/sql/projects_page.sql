-- A page of projects and one more, by name; sessions without one come first, under the name ''.
-- One row without a project when there is none.
SELECT
    a.generation,
    page.name,
    json_build_object(
        'project', nullif(page.name, ''),
        'session_count', page.sessions,
        'turn_count', page.turns,
        'updated_at', to_char(page.updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
    )
FROM turnlog.active AS a
LEFT JOIN LATERAL (
    SELECT
        coalesce(s.project, '') AS name,
        count(*) AS sessions,
        sum(s.turn_count)::bigint AS turns,
        max(s.updated_at) AS updated_at
    FROM {g}.sessions AS s
    WHERE {seen}
        AND NOT s.deleted
        AND s.user_id = %(user_id)s --? user_id
        AND s.archived = %(archived)s --? archived
        AND coalesce(s.project, '') > %(last)s --? last
    GROUP BY coalesce(s.project, '')
    ORDER BY coalesce(s.project, '')
    LIMIT %(limit)s::bigint + 1
) AS page
    ON true
WHERE a.only_row
ORDER BY page.name
