-- A part of a file, compressed.
SELECT c.bytes
FROM turnlog.exports AS e
JOIN turnlog.export_chunks AS c
    ON c.export_id = e.export_id
    AND c.attempt = e.attempts
    AND c.part = %(part)s::bigint
WHERE e.export_id = %(export_id)s
    AND e.attempts = %(attempt)s
    AND e.state = 'done'
    AND {export_mine}
