-- Sessions that a generation has rows of, and heads does not know; at most so many.
SELECT r.tenant, r.session_id
FROM (
    SELECT tenant, session_id FROM {g}.sessions
    UNION SELECT tenant, session_id FROM {g}.turns
    UNION SELECT tenant, session_id FROM {g}.branches
    UNION SELECT tenant, session_id FROM {g}.titles
    UNION SELECT tenant, session_id FROM {g}.turn_revisions
    UNION SELECT tenant, session_id FROM {g}.annotations
) AS r
WHERE NOT EXISTS (
    SELECT FROM turnlog.heads AS h WHERE h.tenant = r.tenant AND h.session_id = r.session_id
)
ORDER BY r.tenant, r.session_id
LIMIT %s
