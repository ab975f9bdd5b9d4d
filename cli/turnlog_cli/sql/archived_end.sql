-- The last archived event of a session: its seq and when it was recorded.
SELECT h.seq, h.recorded_at
FROM turnlog.heads AS h
WHERE h.partition = %(partition)s
    AND h.tenant = %(tenant)s
    AND h.session_id = %(session_id)s
