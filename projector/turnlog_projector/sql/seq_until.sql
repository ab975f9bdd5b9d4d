-- The last seq of a session that was recorded up to a time (ms since 1970); 0 when there is none.
SELECT coalesce(max(seq), 0)
FROM turnlog.archive
WHERE partition = %(partition)s AND tenant = %(tenant)s AND session_id = %(session_id)s
    AND recorded_at <= %(until)s
