-- The next archived events of a session to export, if it may be read, each with whether an operator
-- has declared it void; see log_span.sql. Without an event there is one row.
SELECT
    a.generation,
    s.seq,
    page.seq,
    page.event_id,
    page.recorded_at,
    page.bytes,
    page.repeat_of,
    EXISTS (
        SELECT FROM turnlog.parked AS p
        WHERE p.tenant = %(tenant)s
            AND p.session_id = %(session_id)s
            AND p.seq = page.seq
            AND p.state = 'skipped'
    )
FROM turnlog.active AS a
LEFT JOIN {g}.sessions AS s
    ON {seen}
    AND s.session_id = %(session_id)s
LEFT JOIN LATERAL (
    {log_span}
) AS page
    ON s.seq IS NOT NULL
WHERE a.only_row
ORDER BY page.seq
