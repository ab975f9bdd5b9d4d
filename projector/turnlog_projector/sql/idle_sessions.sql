-- Sessions of a partition whose last event was recorded before a time, erased ones aside, of one
-- tenant if it is named; behind a key.
SELECT h.tenant, h.session_id, h.seq, h.recorded_at
FROM turnlog.heads AS h
WHERE h.partition = %(partition)s
    AND (h.tenant, h.session_id) > (%(after_tenant)s, %(after_session)s)
    AND h.recorded_at < %(before)s
    AND (%(tenant)s::text IS NULL OR h.tenant = %(tenant)s)
    AND NOT EXISTS (
        SELECT FROM turnlog.erasures AS e
        WHERE e.partition = h.partition AND e.tenant = h.tenant AND e.session_id = h.session_id
            AND e.turn_id = ''
    )
ORDER BY h.tenant, h.session_id
LIMIT %(count)s
