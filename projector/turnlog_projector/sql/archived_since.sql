-- Events of a partition by place in the archive.
SELECT tenant, session_id, seq, event_id, recorded_at, bytes, repeat_of
FROM turnlog.archive
WHERE partition = %(partition)s AND pos BETWEEN %(first)s AND %(last)s
ORDER BY pos
