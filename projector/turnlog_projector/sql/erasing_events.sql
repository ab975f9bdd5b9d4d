-- Archived events of a session that may erase something, and the seq of its last event. Those that do
-- hold little but an id and a reason.
SELECT a.seq, a.event_id, a.recorded_at, a.bytes, a.repeat_of, h.seq
FROM turnlog.archive AS a
JOIN turnlog.heads AS h USING (partition, tenant, session_id)
WHERE a.partition = %(partition)s AND a.tenant = %(tenant)s AND a.session_id = %(session_id)s
    AND octet_length(a.bytes) < 65536
    AND (position('.erased'::bytea IN a.bytes) > 0 OR position('\x5c753030'::bytea IN a.bytes) > 0)
ORDER BY a.seq
