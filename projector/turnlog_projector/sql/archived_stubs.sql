-- Some archived events of a session.
SELECT seq, event_id, recorded_at, bytes
FROM turnlog.archive
WHERE partition = %(partition)s AND tenant = %(tenant)s AND session_id = %(session_id)s
    AND seq = ANY (%(seqs)s)
ORDER BY seq
