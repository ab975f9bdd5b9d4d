-- The next sessions of a partition with a title that somebody gave them, behind one.
SELECT h.tenant, h.session_id
FROM turnlog.heads AS h
JOIN {g}.sessions AS s ON s.tenant = h.tenant AND s.session_id = h.session_id
WHERE h.partition = %(partition)s
    AND (h.tenant, h.session_id) > (%(tenant)s, %(session_id)s)
    AND s.title IS NOT NULL AND s.title_turn_id IS NULL
ORDER BY h.tenant, h.session_id
LIMIT %(count)s
