-- What search has to know of sessions (one array each of tenant, session_id): whose they are, where
-- their turns begin to be shown, and the title, if somebody gave it, with its time.
SELECT
    s.tenant, s.session_id, s.user_id, s.project, s.visibility = 'tenant', s.floor,
    given.title, given.at
FROM unnest(%(tenants)s::text[], %(session_ids)s::text[]) AS key (tenant, session_id)
JOIN {g}.sessions AS s
    ON s.tenant = key.tenant AND s.session_id = key.session_id AND NOT s.erased
LEFT JOIN LATERAL (
    SELECT s.title, (t.body::json ->> 'at') AS at
    FROM {g}.titles AS t
    WHERE t.tenant = s.tenant AND t.session_id = s.session_id
    ORDER BY t.seq DESC
    LIMIT 1
) AS given
    ON s.title IS NOT NULL AND s.title_turn_id IS NULL
