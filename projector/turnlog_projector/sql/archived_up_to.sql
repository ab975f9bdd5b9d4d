-- The next archived events of a session, oldest first: at most so many, and after the first only as
-- long as they hold together at most so many bytes. Limits that are null do not limit.
WITH chunk AS (
    SELECT seq, sum(octet_length(bytes)) OVER (ORDER BY seq) AS size
    FROM turnlog.archive
    WHERE partition = %(partition)s AND tenant = %(tenant)s AND session_id = %(session_id)s
        AND seq BETWEEN %(first)s AND coalesce(%(upto_seq)s, 9007199254740991)
        AND pos <= coalesce(%(upto_pos)s, 9007199254740991)
    ORDER BY seq
    LIMIT %(count)s
)
SELECT a.seq, a.event_id, a.recorded_at, a.bytes, a.repeat_of
FROM turnlog.archive AS a
JOIN chunk ON chunk.seq = a.seq
WHERE a.partition = %(partition)s AND a.tenant = %(tenant)s AND a.session_id = %(session_id)s
    AND (chunk.size <= %(size)s OR a.seq = (SELECT min(seq) FROM chunk))
ORDER BY a.seq
